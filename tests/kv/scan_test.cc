// What SCAN guarantees while keys come and go.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "kv/request_parser.h"
#include "kv/store.h"

namespace ringraft::kv {
namespace {

std::string Run(KeyValueStore& store, std::string_view line) {
  Request request;
  REQUIRE(SplitInline(line, request));
  std::string reply;
  store.Execute(Protocol::kResp2, request.args(), reply);
  return reply;
}

// The bulk strings of a reply, in order.
std::vector<std::string> Bulks(std::string_view reply) {
  std::vector<std::string> bulks;
  while (!reply.empty()) {
    const size_t line_end = reply.find("\r\n");
    const std::string_view line = reply.substr(0, line_end);
    reply.remove_prefix(line_end + 2);
    if (line.front() != '$') continue;
    const auto size = static_cast<size_t>(std::stoul(std::string(line.substr(1))));
    bulks.emplace_back(reply.substr(0, size));
    reply.remove_prefix(size + 2);
  }
  return bulks;
}

TEST_SUITE("kv: SCAN") {
  TEST_CASE("a scan tells every key exactly once, and its cursor ends at 0") {
    KeyValueStore store;
    std::set<std::string> keys;
    for (int i = 0; i < 1000; ++i) {
      keys.insert(fmt::format("key:{}", i));
      Run(store, fmt::format("set key:{} {}", i, i));
    }
    for (const int count : {1, 7, 10, 999, 1000, 5000}) {
      std::multiset<std::string> told;
      std::string cursor = "0";
      do {
        const auto bulks = Bulks(Run(store, fmt::format("scan {} count {}", cursor, count)));
        cursor = bulks.at(0);
        told.insert(bulks.begin() + 1, bulks.end());
      } while (cursor != "0");
      CHECK(told == std::multiset<std::string>(keys.begin(), keys.end()));
    }
  }

  TEST_CASE("keys that stay are told exactly once while others come and go") {
    for (uint32_t seed = 1; seed <= 20; ++seed) {
      KeyValueStore store;
      std::mt19937 random(seed);
      std::set<std::string> staying;
      for (int i = 0; i < 300; ++i) {
        staying.insert(fmt::format("stay:{}", i));
        Run(store, fmt::format("mset stay:{} 1 go:{} 1", i, i));
      }
      std::map<std::string, int> told;
      std::string cursor = "0";
      int steps = 0;
      do {
        const auto bulks = Bulks(Run(store, fmt::format("scan {} count {}", cursor, 1 + random() % 20)));
        cursor = bulks.at(0);
        for (size_t i = 1; i < bulks.size(); ++i) ++told[bulks[i]];
        for (int i = 0; i < 10; ++i) {
          Run(store, fmt::format("del go:{}", random() % 300));
          Run(store, fmt::format("set new:{} 1", random() % 300));
          Run(store, fmt::format("append stay:{} x", random() % 300));
        }
        REQUIRE(++steps < 1000);
      } while (cursor != "0");
      for (const std::string& key : staying) CHECK(told[key] == 1);
    }
  }

  TEST_CASE("MATCH and TYPE choose, COUNT bounds what is looked at") {
    KeyValueStore store;
    for (int i = 0; i < 100; ++i) Run(store, fmt::format("mset a:{} 1 b:{} 1", i, i));
    CHECK(Bulks(Run(store, "scan 0 match a:* count 1000")).size() == 101);
    CHECK(Bulks(Run(store, "scan 0 MATCH a:7 COUNT 1000 TYPE string")) == std::vector<std::string>{"0", "a:7"});
    CHECK(Run(store, "scan 0 count 1000 type list") == "*2\r\n$1\r\n0\r\n*0\r\n");
    CHECK(Bulks(Run(store, "scan 0")).size() == 11);
    CHECK(Run(store, "scan 18446744073709551615") == "*2\r\n$1\r\n0\r\n*0\r\n");
  }

  TEST_CASE("a huge COUNT does not make a huge reply") {
    KeyValueStore store;
    const std::string filler(10000, 'k');
    for (int i = 0; i < 300; ++i) Run(store, fmt::format("set {}{} 1", filler, i));
    const std::string reply = Run(store, "scan 0 count 1000000");
    CHECK(reply.size() < size_t{1100000});
    CHECK(Bulks(reply).at(0) != "0");
  }

  TEST_CASE("malformed scans get Redis's errors") {
    KeyValueStore store;
    for (const char* cursor : {"abc", "-1", "1x", "18446744073709551616", "\"\""}) {
      CHECK(Run(store, fmt::format("scan {}", cursor)) == "-ERR invalid cursor\r\n");
    }
    CHECK(Run(store, "scan 0 count 0") == "-ERR syntax error\r\n");
    CHECK(Run(store, "scan 0 count x") == "-ERR value is not an integer or out of range\r\n");
    CHECK(Run(store, "scan 0 match") == "-ERR syntax error\r\n");
    CHECK(Run(store, "scan 0 foo bar") == "-ERR syntax error\r\n");
    CHECK(Run(store, "scan") == "-ERR wrong number of arguments for 'scan' command\r\n");
  }
}

}  // namespace
}  // namespace ringraft::kv
