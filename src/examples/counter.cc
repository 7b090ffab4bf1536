// A replicated counter: three nodes in one process, each with its own LMDB directory and a socket on loopback.
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <semaphore>
#include <string>
#include <vector>

#include "ringraft/raft.h"

using namespace ringraft;  // NOLINT: an example

std::optional<long long> ParseNumber(std::string_view text) {
  long long number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

class Counter : public StateMachine {
 public:
  Result<size_t> Apply(std::span<const LogEntry> entries, ApplyResults& results) override {
    for (const LogEntry& entry : entries) {
      const std::optional<long long> step = ParseNumber(entry.command);
      if (step) value_ += *step;
      // The caller's result. A command that cannot be applied has one as well: Apply never throws.
      results.Add(step ? std::to_string(value_) : "error: not a number");
    }
    return entries.size();
  }

 private:
  long long value_ = 0;
};

Task<void> CountToTen(Raft& raft, std::string& value, std::binary_semaphore& done) {
  for (int i = 0; i < 10; ++i) {
    Result<Bytes> counted = co_await raft.Handle("1", HandleOptions().Forward());
    value = counted ? counted.value().ToString() : counted.error().message();
    std::printf("the counter is %s\n", value.c_str());
  }
  done.release();
}

int main(int argc, char** argv) {
  const int port = argc > 1 ? std::stoi(argv[1]) : 7200;  // the nodes listen on the next three
  const std::filesystem::path home = std::filesystem::temp_directory_path() / ("counter-" + std::to_string(getpid()));
  std::filesystem::create_directory(home);
  std::vector<Peer> members;
  for (int n = 1; n <= 3; ++n) members.emplace_back(NodeId(n), Addr("127.0.0.1:" + std::to_string(port + n)));

  auto reactor = Reactor::Create().value();  // one thread for all three
  reactor->Start().value();
  std::vector<Counter> counters(members.size());
  std::vector<std::unique_ptr<Raft>> nodes;
  for (const Peer& member : members) {
    Options options;
    options.id = member.id;
    options.addr = member.addr;
    options.initial_members = members;
    options.data_dir = home / std::to_string(member.id.value());
    nodes.push_back(Raft::Create(options, counters[nodes.size()]).value());
    nodes.back()->Run(*reactor).value();
  }

  std::string value;
  std::binary_semaphore done{0};
  reactor->Spawn(CountToTen(*nodes[0], value, done));
  done.acquire();
  nodes.clear();  // stops them
  std::filesystem::remove_all(home);
  return value == "10" ? 0 : 1;
}
