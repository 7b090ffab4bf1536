#include "checker/models.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "checker/word_encoding.h"
#include "generated.h"
#include "sim/workload_machine.h"

namespace ringraft::checker {

using sim::WorkloadMachine;
namespace {

constexpr Workload kWorkloads[] = {Workload::kRegisters, Workload::kCounters, Workload::kLists, Workload::kKeyValue};

struct Exchange {
  const char* command;
  const char* answer;
};

// The machine gives these answers, and the model allows them and no others.
void CheckExchanges(Workload workload, const std::vector<Exchange>& exchanges) {
  WorkloadMachine machine(workload);
  const auto model = MakeModel(workload);
  std::string state = model->Initial("k");
  for (const Exchange& exchange : exchanges) {
    CAPTURE(std::string(exchange.command));
    CHECK(model->IsCommand(exchange.command));
    CHECK(model->Partition(exchange.command) == "k");
    CHECK(machine.Execute(exchange.command) == exchange.answer);
    const std::string answer = exchange.answer;
    const std::string wrong = answer + "0";
    std::string other = state;
    CHECK(!model->Step(other, exchange.command, &wrong));
    other = state;
    CHECK(model->Step(other, exchange.command, nullptr));
    CHECK(model->Step(state, exchange.command, &answer));
    CHECK(other == state);
  }
}

TEST_SUITE("sim: models and services") {
  TEST_CASE("encoded words keep arbitrary bytes") {
    for (const char* text : {"", "a", "%", " ", "a b", "%20", "\n", "\x7f\xc3\xa4", "[]"}) {
      CAPTURE(std::string(text));
      CHECK(DecodeWord(EncodeWord(text)) == text);
      CHECK(SplitWords(JoinWords({"x", text, ""})) == std::vector<std::string>{"x", text, ""});
    }
    const std::string zero("\0", 1);
    CHECK(EncodeWord(zero) == "%00");
    CHECK(DecodeWord("%00") == zero);
    for (const char* text : {"", "%2", "%zz", "a b", "a%", "%%"}) CHECK(!DecodeWord(text));
    for (const char* text : {"", " a", "a ", "a  b"}) CHECK(!SplitWords(text));
  }

  TEST_CASE("workloads have names") {
    for (const Workload workload : kWorkloads) CHECK(WorkloadFromName(WorkloadName(workload)) == workload);
    CHECK(!WorkloadFromName("queues"));
  }

  TEST_CASE("registers: read, write and compare-and-set") {
    CheckExchanges(Workload::kRegisters, {{"read k", "nil"},
                                          {"cas k nil 1", "no"},
                                          {"write k a%20b", "ok"},
                                          {"read k", "=a%20b"},
                                          {"cas k a 1", "no"},
                                          {"cas k a%20b 1", "ok"},
                                          {"write k %", "ok"},
                                          {"read k", "=%"}});
    CHECK(ReadRegister("k") == "read k");
    CHECK(WriteRegister("k", "a b") == "write k a%20b");
    CHECK(CompareAndSet("k", "", "1") == "cas k % 1");
  }

  TEST_CASE("counters: additions, up to the largest number") {
    CheckExchanges(Workload::kCounters, {{"add k 0", "0"},
                                         {"add k 5", "5"},
                                         {"add k 9223372036854775802", "9223372036854775807"},
                                         {"add k 1", "overflow"},
                                         {"add k 0", "9223372036854775807"}});
    CHECK(AddToCounter("k", 3) == "add k 3");
    CHECK(!MakeModel(Workload::kCounters)->IsCommand("add k -1"));
    CHECK(WorkloadMachine(Workload::kCounters).Execute("add k -1").starts_with("error: "));
  }

  TEST_CASE("lists: appends and reads") {
    CheckExchanges(Workload::kLists, {{"read k", "[]"},
                                      {"append k a", "1"},
                                      {"append k %", "2"},
                                      {"append k a%20b", "3"},
                                      {"read k", "[a % a%20b]"}});
    CHECK(AppendToList("k", "v") == "append k v");
    CHECK(ReadList("k") == "read k");
  }

  TEST_CASE("kv: the replies of ringraft-kv") {
    const char* kNotInteger = "-ERR value is not an integer or out of range\r\n";
    CheckExchanges(Workload::kKeyValue, {{"GET k", "$-1\r\n"},
                                         {"EXISTS k", ":0\r\n"},
                                         {"SET k v XX", "$-1\r\n"},
                                         {"SET k v IFEQ %", "$-1\r\n"},
                                         {"SET k v NX", "+OK\r\n"},
                                         {"SET k w NX", "$-1\r\n"},
                                         {"SET k w GET", "$1\r\nv\r\n"},
                                         {"SET k x IFEQ w GET", "$1\r\nw\r\n"},
                                         {"SET k y IFEQ w", "$-1\r\n"},
                                         {"GET k", "$1\r\nx\r\n"},
                                         {"INCR k", kNotInteger},
                                         {"DEL k", ":1\r\n"},
                                         {"DEL k", ":0\r\n"},
                                         {"INCRBY k 40", ":40\r\n"},
                                         {"INCRBY k x", kNotInteger},
                                         {"INCR k", ":41\r\n"},
                                         {"DECRBY k 50", ":-9\r\n"},
                                         {"DECR k", ":-10\r\n"},
                                         {"DECRBY k -9223372036854775808", "-ERR decrement would overflow\r\n"},
                                         {"DECRBY k 9223372036854775807",
                                          "-ERR increment or decrement would overflow\r\n"},
                                         {"APPEND k 0", ":4\r\n"},
                                         {"STRLEN k", ":4\r\n"},
                                         {"SETNX k 1", ":0\r\n"},
                                         {"GETDEL k", "$4\r\n-100\r\n"},
                                         {"GETDEL k", "$-1\r\n"},
                                         {"SETNX k 1", ":1\r\n"}});
    const auto model = MakeModel(Workload::kKeyValue);
    const std::string null3 = "_\r\n";
    std::string state = model->Initial("k");
    CHECK(model->Step(state, "GET k", &null3));
    for (const char* text : {"get k", "GET", "GET a b", "MGET k", "SET k v NX XX", "SET k v EX 5", "SET k v IFEQ"}) {
      CHECK(!model->IsCommand(text));
      CHECK(WorkloadMachine(Workload::kKeyValue).Execute(text).starts_with("error: "));
    }
  }

  TEST_CASE("kv: descriptions of replies omit the protocol") {
    const auto model = MakeModel(Workload::kKeyValue);
    const auto describe = [&](const std::string& reply) { return model->Describe("GET k", &reply); };
    CHECK(describe("$2\r\na\n\r\n") == "GET k -> \"a\\x0a\"");
    CHECK(describe("$-1\r\n") == "GET k -> nil");
    CHECK(describe("_\r\n") == "GET k -> nil");
    CHECK(describe(":5\r\n") == "GET k -> 5");
    CHECK(describe("+OK\r\n") == "GET k -> OK");
    CHECK(describe("-ERR no\r\n") == "GET k -> -ERR no");
    CHECK(describe("\r\n") == "GET k -> \\x0d\\x0a");
    CHECK(model->Describe("GET k", nullptr) == "GET k -> ?");
  }

  // A wrong hint makes the checker wrong.
  TEST_CASE("hints hold in every state of a run") {
    for (const Workload workload : kWorkloads) {
      CAPTURE(std::string(WorkloadName(workload)));
      const auto model = MakeModel(workload);
      for (uint64_t seed = 0; seed < 40; ++seed) {
        Dice dice(seed);
        HistoryPlan plan;
        plan.workload = workload;
        plan.operations = 60;
        plan.keys = 1;
        plan.values = 3;
        const std::vector<Operation> history = Generate(plan, dice);
        std::vector<std::string> states = {model->Initial("k0")};
        for (const Operation& operation : history) {
          std::string next = states.back();
          if (model->Step(next, operation.command, nullptr)) states.push_back(next);
        }
        for (const Operation& operation : history) {
          const std::string* const known = operation.result ? &*operation.result : nullptr;
          const std::string* const unknown = nullptr;
          for (const std::string* result : {known, unknown}) {
            const StepHint hint = model->HintFor(operation.command, result);
            std::string left;
            for (size_t i = 0; i < states.size(); ++i) {
              std::string next = states[i];
              const bool is_possible = model->Step(next, operation.command, result);
              if (hint.is_overwrite) REQUIRE(is_possible);
              if (!is_possible) continue;
              if (hint.is_read_only) REQUIRE(next == states[i]);
              if (hint.is_overwrite && i > 0) REQUIRE(next == left);
              if (hint.needs) REQUIRE(states[i] == *hint.needs);
              if (hint.leaves && next != states[i]) REQUIRE(next == *hint.leaves);
              left = next;
              if (result == nullptr) continue;
              for (size_t j = 0; j <= i; ++j) REQUIRE(!model->IsOutOfReach(states[j], operation.command, *result));
            }
          }
        }
      }
    }
  }

  TEST_CASE("a machine applies entries in order, and equal states have equal digests") {
    WorkloadMachine one(Workload::kLists);
    WorkloadMachine two(Workload::kLists);
    CHECK(one.Digest() == two.Digest());
    const LogEntry entries[] = {LogEntry(Index(1), Term(1), LogEntryType::kCommand, "append l a"),
                                LogEntry(Index(3), Term(1), LogEntryType::kCommand, "append l b")};
    ApplyResults results;
    const Result<size_t> applied = one.Apply(entries, results);
    REQUIRE(applied.has_value());
    CHECK(applied.value() == 2);
    CHECK(results.size() == 2);
    CHECK(results[1].view() == "2");
    CHECK(!one.IsDurable());
    CHECK(one.Digest() != two.Digest());
    two.Execute("append l b");
    two.Execute("append l a");
    CHECK(one.Digest() != two.Digest());
    WorkloadMachine three(Workload::kLists);
    three.Execute("append l a");
    CHECK(three.Execute("jump") == "error: unknown command of this workload");
    three.Execute("append l b");
    CHECK(one.Digest() == three.Digest());
    CHECK(one.Digest().starts_with("lists, 1 keys, "));
  }
}

}  // namespace
}  // namespace ringraft::checker
