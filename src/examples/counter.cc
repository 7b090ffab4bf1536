// A replicated counter: three nodes in one process, each with its LMDB directory and its socket on the loopback.
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <semaphore>

#include "ringraft/raft.h"

using namespace ringraft;  // NOLINT: an example

class Counter : public StateMachine {
 public:
  Result<size_t> Apply(std::span<const LogEntry> entries, ApplyResults& results) override {
    for (const LogEntry& entry : entries) {
      value_ += std::stoll(std::string(entry.command));
      results.Add(std::to_string(value_));
    }
    return entries.size();
  }
 private:
  long long value_ = 0;
};

Task<void> CountToTen(Raft& raft, int& value, std::binary_semaphore& done) {
  for (int i = 0; i < 10; ++i) {
    Result<Bytes> counted = co_await raft.Handle("1", HandleOptions().Forward());
    if (counted) value = std::stoi(counted.value().ToString());
    const std::string text = counted ? "the counter is " + std::to_string(value) : counted.error().message();
    std::puts(text.c_str());
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
    options.id = member.id, options.addr = member.addr, options.initial_members = members;
    options.data_dir = home / std::to_string(member.id.value());
    nodes.push_back(Raft::Create(options, counters[nodes.size()]).value());
    nodes.back()->Run(*reactor).value();
  }
  int value = 0;
  std::binary_semaphore done{0};
  reactor->Spawn(CountToTen(*nodes[0], value, done));
  done.acquire();
  nodes.clear();  // stops them
  std::filesystem::remove_all(home);
  return value == 10 ? 0 : 1;
}
