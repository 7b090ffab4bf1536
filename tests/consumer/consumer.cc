// A user's program: knows the installed headers and library alone. One node that keeps its log in memory.
#include <cstdio>
#include <cstdlib>
#include <semaphore>
#include <string>

#include <ringraft/raft.h>

class Echo : public ringraft::StateMachine {
 public:
  ringraft::Result<size_t> Apply(std::span<const ringraft::LogEntry> entries,
                                 ringraft::ApplyResults& results) override {
    for (const ringraft::LogEntry& entry : entries) results.Add(entry.command);
    return entries.size();
  }
};

ringraft::Task<void> Ask(ringraft::Raft& raft, std::string& answer, std::binary_semaphore& done) {
  auto echoed = co_await raft.Handle("hello", ringraft::HandleOptions().Forward());
  answer = echoed ? echoed.value().ToString() : echoed.error().message();
  done.release();
}

int main(int argc, char** argv) {
  auto reactor = ringraft::Reactor::Create().value();
  reactor->Start().value();
  Echo echo;
  ringraft::Options options;
  options.id = ringraft::NodeId(1);
  options.addr = ringraft::Addr(std::string("127.0.0.1:") + (argc > 1 ? argv[1] : "17420"));
  options.bootstrap_as_leader = true;
  options.storage = ringraft::MakeMemoryStorage();
  auto raft = ringraft::Raft::Create(options, echo).value();
  raft->Run(*reactor).value();

  std::string answer;
  std::binary_semaphore done{0};
  reactor->Spawn(Ask(*raft, answer, done));
  done.acquire();
  raft.reset();
  std::printf("%s\n", answer.c_str());
  return answer == "hello" ? EXIT_SUCCESS : EXIT_FAILURE;
}
