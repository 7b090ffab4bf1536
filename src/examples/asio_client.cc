// A service on Boost.Asio that keeps its state with ringraft: an `asio::awaitable` awaits `raft.Handle` and goes on on
// its own io_context, while the node runs on a reactor with a thread of its own.
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "ringraft/asio.h"  // before Asio's own headers
#include "ringraft/raft.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

using namespace ringraft;  // NOLINT: an example
namespace asio = boost::asio;

// Keeps the longest text that it was told.
class LongestText : public StateMachine {
 public:
  Result<size_t> Apply(std::span<const LogEntry> entries, ApplyResults& results) override {
    for (const LogEntry& entry : entries) {
      if (entry.command.size() > longest_.size()) longest_ = std::string(entry.command);
      results.Add(longest_);
    }
    return entries.size();
  }

 private:
  std::string longest_;
};

asio::awaitable<void> Tell(Raft& raft, int& told) {
  for (const char* text : {"a", "three", "two", "a longer one"}) {
    Result<Bytes> longest = co_await AsAsio(raft.Handle(text, HandleOptions().Forward()));
    if (!longest) {
      std::printf("%s: %s\n", text, longest.error().message().c_str());
      co_return;
    }
    ++told;
    std::printf("told '%s'; the longest so far is '%s'\n", text, longest.value().ToString().c_str());
  }
}

int main(int argc, char** argv) {
  const std::string addr = std::string("127.0.0.1:") + (argc > 1 ? argv[1] : "7210");
  const std::filesystem::path home = std::filesystem::temp_directory_path() / ("asio-" + std::to_string(getpid()));
  std::filesystem::create_directory(home);

  auto reactor = Reactor::Create().value();
  reactor->Start().value();
  LongestText longest;
  Options options;
  options.id = NodeId(1);
  options.addr = Addr(addr);
  options.data_dir = home / "1";
  options.bootstrap_as_leader = true;
  auto raft = Raft::Create(options, longest).value();
  raft->Run(*reactor).value();

  int told = 0;
  asio::io_context io;
  asio::co_spawn(io, Tell(*raft, told), asio::detached);
  io.run();

  raft.reset();  // stops the node
  std::filesystem::remove_all(home);
  return told == 4 ? 0 : 1;
}
