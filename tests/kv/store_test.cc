// Every data command with its exact reply in both protocols, limits, and determinism.
#include "kv/store.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <random>
#include <string>
#include <vector>

#include "kv/request_parser.h"

namespace ringraft::kv {
namespace {

std::string Run(KeyValueStore& store, std::string_view line, Protocol protocol = Protocol::kResp2) {
  Request request;
  REQUIRE(SplitInline(line, request));
  std::string reply;
  store.Execute(protocol, request.args(), reply);
  return reply;
}

struct Case {
  const char* command;
  const char* reply;
  const char* resp3 = nullptr;  // where it differs
};

// One after the other on one store that is empty at first.
void CheckStory(std::span<const Case> story) {
  KeyValueStore resp2;
  KeyValueStore resp3;
  for (const Case& step : story) {
    CAPTURE(step.command);
    CHECK(Run(resp2, step.command) == step.reply);
    CHECK(Run(resp3, step.command, Protocol::kResp3) == (step.resp3 != nullptr ? step.resp3 : step.reply));
  }
}

#define NOT_INTEGER "-ERR value is not an integer or out of range\r\n"
#define SYNTAX "-ERR syntax error\r\n"
#define NIL "$-1\r\n", "_\r\n"

TEST_SUITE("kv: state machine") {
  TEST_CASE("GET, SET and its options") {
    const Case story[] = {
        {"get k", NIL},
        {"set k v", "+OK\r\n"},
        {"GET k", "$1\r\nv\r\n"},
        {"set k \"\"", "+OK\r\n"},
        {"get k", "$0\r\n\r\n"},
        {"set k \"a\\r\\n\\x00b\"", "+OK\r\n"},
        {"strlen k", ":5\r\n"},
        {"set k 1 nx", NIL},
        {"set n 1 NX", "+OK\r\n"},
        {"set k 2 XX", "+OK\r\n"},
        {"set none 2 xx", NIL},
        {"exists none", ":0\r\n"},
        {"set k 3 get", "$1\r\n2\r\n"},
        {"set new 3 get", NIL},
        {"get new", "$1\r\n3\r\n"},
        {"set new 4 nx get", "$1\r\n3\r\n"},
        {"get new", "$1\r\n3\r\n"},
        {"set new2 4 get nx", NIL},
        {"get new2", "$1\r\n4\r\n"},
        {"set new3 4 xx get", NIL},
        {"get new3", NIL},
        {"set k 4 ifeq 3", "+OK\r\n"},
        {"set k 5 IFEQ 3", NIL},
        {"get k", "$1\r\n4\r\n"},
        {"set k 6 ifeq 3 get", "$1\r\n4\r\n"},
        {"set k 6 get ifeq 4", "$1\r\n4\r\n"},
        {"get k", "$1\r\n6\r\n"},
        {"set none 6 ifeq \"\"", NIL},
        {"set none 6 ifeq \"\" get", NIL},
        {"get none", NIL},
        {"set k v nx xx", SYNTAX},
        {"set k v nx ifeq 6", SYNTAX},
        {"set k v xx ifeq 6", SYNTAX},
        {"set k v ifeq", SYNTAX},
        {"set k v ifeq 1 ifeq 2", SYNTAX},
        {"set k v foo", SYNTAX},
        {"set k v EX 10", "-ERR SET option 'ex' is not supported: keys have no expiry here, delete them with DEL\r\n"},
        {"set k v keepttl",
         "-ERR SET option 'keepttl' is not supported: keys have no expiry here, delete them with DEL\r\n"},
        {"get k", "$1\r\n6\r\n"},
        {"set k", "-ERR wrong number of arguments for 'set' command\r\n"},
        {"get", "-ERR wrong number of arguments for 'get' command\r\n"},
        {"GET a b", "-ERR wrong number of arguments for 'get' command\r\n"},
        {"ping", "-ERR unknown command 'ping', with args beginning with: \r\n"},
        {"foo a b", "-ERR unknown command 'foo', with args beginning with: 'a' 'b' \r\n"},
        {"foo \"a\\r\\nb\"", "-ERR unknown command 'foo', with args beginning with: 'a  b' \r\n"},
    };
    CheckStory(story);
  }

  TEST_CASE("SETNX, GETDEL, DEL, EXISTS, DBSIZE, FLUSHALL") {
    const Case story[] = {
        {"setnx k v", ":1\r\n"},   {"setnx k w", ":0\r\n"},   {"get k", "$1\r\nv\r\n"},
        {"getdel k", "$1\r\nv\r\n"}, {"getdel k", NIL},        {"exists k", ":0\r\n"},
        {"mset a 1 b 2 c 3", "+OK\r\n"}, {"exists a a b x", ":3\r\n"}, {"dbsize", ":3\r\n"},
        {"del a a b x", ":2\r\n"}, {"dbsize", ":1\r\n"},      {"flushall foo", SYNTAX},
        {"flushall async sync", SYNTAX}, {"dbsize", ":1\r\n"}, {"FLUSHALL ASYNC", "+OK\r\n"},
        {"dbsize", ":0\r\n"},      {"flushall sync", "+OK\r\n"}, {"flushall", "+OK\r\n"},
        {"del", "-ERR wrong number of arguments for 'del' command\r\n"},
        {"dbsize 1", "-ERR wrong number of arguments for 'dbsize' command\r\n"},
    };
    CheckStory(story);
  }

  TEST_CASE("INCR, DECR, INCRBY, DECRBY") {
    const Case story[] = {
        {"incr n", ":1\r\n"},          {"incrby n 41", ":42\r\n"},      {"decr n", ":41\r\n"},
        {"decrby n 50", ":-9\r\n"},    {"get n", "$2\r\n-9\r\n"},       {"incrby n -1", ":-10\r\n"},
        {"incrby n 1.5", NOT_INTEGER}, {"incrby n abc", NOT_INTEGER},   {"decrby n abc", NOT_INTEGER},
        {"decrby n -9223372036854775808", "-ERR decrement would overflow\r\n"},
        {"set n 9223372036854775807", "+OK\r\n"},
        {"incr n", "-ERR increment or decrement would overflow\r\n"},
        {"get n", "$19\r\n9223372036854775807\r\n"},
        {"set n -9223372036854775808", "+OK\r\n"},
        {"decr n", "-ERR increment or decrement would overflow\r\n"},
        {"incrby n 9223372036854775808", NOT_INTEGER},
        {"set s abc", "+OK\r\n"},      {"incr s", NOT_INTEGER},         {"set s \" 1\"", "+OK\r\n"},
        {"incr s", NOT_INTEGER},       {"set s 01", "+OK\r\n"},         {"decr s", NOT_INTEGER},
        {"set s \"\"", "+OK\r\n"},     {"incr s", NOT_INTEGER},
        {"incr", "-ERR wrong number of arguments for 'incr' command\r\n"},
        {"incrby n", "-ERR wrong number of arguments for 'incrby' command\r\n"},
    };
    CheckStory(story);
  }

  TEST_CASE("APPEND, STRLEN, MGET, MSET, KEYS") {
    const Case story[] = {
        {"append k ab", ":2\r\n"},
        {"append k cd", ":4\r\n"},
        {"append k \"\"", ":4\r\n"},
        {"get k", "$4\r\nabcd\r\n"},
        {"strlen k", ":4\r\n"},
        {"strlen x", ":0\r\n"},
        {"append e \"\"", ":0\r\n"},
        {"exists e", ":1\r\n"},
        {"mget k x e", "*3\r\n$4\r\nabcd\r\n$-1\r\n$0\r\n\r\n", "*3\r\n$4\r\nabcd\r\n_\r\n$0\r\n\r\n"},
        {"mset a 1 a 2", "+OK\r\n"},
        {"get a", "$1\r\n2\r\n"},
        {"mset a 3 b", "-ERR wrong number of arguments for 'mset' command\r\n"},
        {"get a", "$1\r\n2\r\n"},
        {"keys a*", "*1\r\n$1\r\na\r\n"},
        {"keys z*", "*0\r\n"},
        {"keys", "-ERR wrong number of arguments for 'keys' command\r\n"},
    };
    CheckStory(story);
  }

  TEST_CASE("a value and a reply have limits, and what is over them changes nothing") {
    KeyValueStore store;
    std::string reply;
    const std::string value(kMaxValueBytes - 1, 'x');
    const std::string_view set[] = {"SET", "k", value};
    store.Execute(Protocol::kResp2, set, reply);
    CHECK(reply == "+OK\r\n");
    CHECK(Run(store, "append k ab") ==
          "-ERR string exceeds maximum allowed size (1048577 bytes, the limit is 1048576)\r\n");
    CHECK(Run(store, "append k a") == ":1048576\r\n");
    CHECK(store.largest_value() == kMaxValueBytes);
    std::string mget = "mget";
    for (int i = 0; i < 17; ++i) mget += " k";
    CHECK(Run(store, mget) == "-ERR the reply would be over the limit of 16777216 bytes: ask for fewer keys\r\n");
    CHECK(Run(store, mget.substr(0, mget.size() - 4)).size() > (size_t{15} << 20));
  }

  TEST_CASE("entries are applied in order, and large results are handed over in parts") {
    KeyValueStore store;
    std::string set;
    EncodeCommand(Protocol::kResp2, std::vector<std::string_view>{"SET", "k", std::string_view()}, set);
    const std::string value(1000000, 'v');
    std::string large;
    EncodeCommand(Protocol::kResp2, std::vector<std::string_view>{"SET", "k", value}, large);
    std::string get;
    EncodeCommand(Protocol::kResp3, std::vector<std::string_view>{"GET", "k"}, get);
    std::vector<LogEntry> entries;
    for (const std::string* command : {&set, &get, &large}) {
      entries.emplace_back(Index(entries.size() + 1), Term(1), LogEntryType::kCommand, *command);
    }
    entries.emplace_back(Index(4), Term(1), LogEntryType::kCommand, "garbage");
    for (int i = 0; i < 20; ++i) entries.emplace_back(Index(entries.size() + 1), Term(1), LogEntryType::kCommand, get);
    ApplyResults results;
    std::span<const LogEntry> rest(entries);
    int calls = 0;
    while (!rest.empty()) {
      const auto applied = store.Apply(rest, results);
      REQUIRE(applied.has_value());
      REQUIRE(applied.value() > 0);
      rest = rest.subspan(applied.value());
      ++calls;
    }
    CHECK(calls > 1);
    REQUIRE(results.size() == entries.size());
    CHECK(results[0].view() == "+OK\r\n");
    CHECK(results[1].view() == "$0\r\n\r\n");
    CHECK(results[2].view() == "+OK\r\n");
    CHECK(results[3].view() == "-ERR the log entry is not a command of ringraft-kv\r\n");
    for (size_t i = 4; i < entries.size(); ++i) CHECK(results[i].size() == value.size() + 12);
  }

  TEST_CASE("the same commands give the same replies, however they are cut into batches") {
    std::mt19937 random(7);
    const char* forms[] = {"set k{0} {1}",   "append k{0} {1}", "incr n{0}",
                           "del k{0} n{0}",  "getdel k{0}",     "set k{0} {1} nx get",
                           "scan 0 count 5", "keys k*",         "mset k{0} {1} n{0} {1}",
                           "dbsize",         "mget k{0} n{0}",  "decrby n{0} {1}"};
    std::vector<std::string> commands;
    for (int i = 0; i < 5000; ++i) {
      Request request;
      REQUIRE(SplitInline(fmt::format(fmt::runtime(forms[random() % std::size(forms)]), random() % 50, random() % 1000),
                          request));
      std::string command;
      EncodeCommand(random() % 2 == 0 ? Protocol::kResp2 : Protocol::kResp3, request.args(), command);
      commands.push_back(std::move(command));
    }
    std::vector<LogEntry> entries;
    for (const std::string& command : commands) {
      entries.emplace_back(Index(entries.size() + 1), Term(1), LogEntryType::kCommand, command);
    }
    KeyValueStore one;
    KeyValueStore other;
    ApplyResults all;
    REQUIRE(one.Apply(entries, all).value() == entries.size());
    size_t position = 0;
    while (position < entries.size()) {
      const size_t count = std::min<size_t>(1 + random() % 100, entries.size() - position);
      ApplyResults some;
      REQUIRE(other.Apply(std::span(entries).subspan(position, count), some).value() == count);
      for (size_t i = 0; i < count; ++i) CHECK(some[i].view() == all[position + i].view());
      position += count;
    }
  }
}

}  // namespace
}  // namespace ringraft::kv
