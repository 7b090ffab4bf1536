// Requests cut out of a stream, sound and malformed, wherever it is cut.
#include "kv/request_parser.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <string>
#include <vector>

namespace ringraft::kv {
namespace {

using Words = std::vector<std::string>;

struct Parsed {
  std::vector<Words> requests;
  std::string error;
  bool operator==(const Parsed&) const = default;
};

// Feeds `stream` in pieces of the given sizes, the last size again and again.
Parsed Parse(std::string_view stream, std::vector<size_t> pieces, ParserLimits limits = {}) {
  RequestParser parser(limits);
  Parsed parsed;
  size_t piece_number = 0;
  while (!stream.empty()) {
    const size_t size = std::min(stream.size(), pieces[std::min(piece_number++, pieces.size() - 1)]);
    const std::string copy(stream.substr(0, size));  // so that ASan sees a view that is kept too long
    std::string_view input(copy);
    stream.remove_prefix(size);
    Request request;
    while (true) {
      const auto outcome = parser.Next(input, request);
      if (outcome == RequestParser::Outcome::kNeedMore) {
        CHECK(input.empty());
        break;
      }
      if (outcome == RequestParser::Outcome::kError) {
        parsed.error = parser.error();
        return parsed;
      }
      const auto args = request.args();
      CHECK(!args.empty());
      parsed.requests.emplace_back(args.begin(), args.end());
    }
  }
  return parsed;
}

std::string Encode(const Words& words) {
  std::string out = fmt::format("*{}\r\n", words.size());
  for (const std::string& word : words) out += fmt::format("${}\r\n{}\r\n", word.size(), word);
  return out;
}

const Words kBinary = {"SET", std::string("a\0b\r\n", 5), std::string("\xff\r\n$3\r\n*1\r\n", 11), ""};

TEST_SUITE("kv: requests") {
  TEST_CASE("requests come out whole wherever the stream is cut") {
    const std::string stream = Encode({"PING"}) + "set  k 'a b'\r\n" + Encode(kBinary) + "\r\n*0\r\n*-1\r\nget k\n" +
                               Encode({"GET", std::string(300, 'x')}) + Encode({"GET", "k"});
    const std::vector<Words> expected = {{"PING"}, {"set", "k", "a b"}, kBinary, {"get", "k"},
                                         {"GET", std::string(300, 'x')}, {"GET", "k"}};
    CHECK(Parse(stream, {stream.size()}).requests == expected);
    CHECK(Parse(stream, {1}).requests == expected);
    for (size_t cut = 1; cut < stream.size(); ++cut) {
      const Parsed parsed = Parse(stream, {cut, stream.size()});
      CAPTURE(cut);
      CHECK(parsed.error == "");
      REQUIRE(parsed.requests == expected);
    }
  }

  TEST_CASE("an inline command is split as Redis does") {
    const std::pair<std::string, Words> cases[] = {
        {"PING\r\n", {"PING"}},
        {"  set\tk   v \n", {"set", "k", "v"}},
        {"echo \"a b\\n\\x41\\\"\\q\"\r\n", {"echo", "a b\nA\"q"}},
        {"echo 'a \\n \\' b'\r\n", {"echo", "a \\n ' b"}},
        {"echo \"\" ''\r\n", {"echo", "", ""}},
        {"echo ab\"cd\"\r\n", {"echo", "abcd"}},
        {"echo \xc3\xa9\r\n", {"echo", "\xc3\xa9"}},
    };
    for (const auto& [line, words] : cases) {
      CAPTURE(line);
      const Parsed parsed = Parse(line, {line.size()});
      CHECK(parsed.error == "");
      CHECK(parsed.requests == std::vector<Words>{words});
    }
    for (const char* line : {"echo \"a\r\n", "echo 'a\r\n", "echo \"a\"b\r\n", "echo 'a'b\r\n"}) {
      CHECK(Parse(line, {100}).error == "Protocol error: unbalanced quotes in request");
    }
  }

  TEST_CASE("a malformed request is a protocol error, wherever it is cut") {
    const std::pair<std::string, std::string> cases[] = {
        {"*1\r\n:1\r\n", "Protocol error: expected '$', got ':'"},
        {"*1\r\n+OK\r\n", "Protocol error: expected '$', got '+'"},
        {"*1\r\n-OK\r\n", "Protocol error: expected '$', got '-'"},
        {"*1\r\n*1\r\n$1\r\na\r\n", "Protocol error: expected '$', got '*'"},
        {"*2\r\n$1\r\na\r\nb", "Protocol error: expected '$', got 'b'"},
        {"*1\r\n$-1\r\n", "Protocol error: invalid bulk length"},
        {"*1\r\n$-2\r\n", "Protocol error: invalid bulk length"},
        {"*1\r\n$x\r\n", "Protocol error: invalid bulk length"},
        {"*1\r\n$\r\n", "Protocol error: invalid bulk length"},
        {"*1\r\n$99999999999999999999\r\n", "Protocol error: invalid bulk length"},
        {"*x\r\n", "Protocol error: invalid multibulk length"},
        {"*\r\n", "Protocol error: invalid multibulk length"},
        {"*-2\r\n", "Protocol error: invalid multibulk length"},
        {"*2147483647\r\n", "Protocol error: invalid multibulk length"},
        {"*9223372036854775808\r\n", "Protocol error: invalid multibulk length"},
        {"*" + std::string(100, '1'), "Protocol error: too big mbulk count string"},
        {"*1\r\n$" + std::string(100, '1'), "Protocol error: too big bulk count string"},
        {std::string("\x16\x03\x01\x02", 4), "Protocol error: byte 0x16 in an inline command"},
        {std::string("GET\0k\r\n", 7), "Protocol error: byte 0x00 in an inline command"},
        {"POST / HTTP/1.1\r\n", "Protocol error: this is no HTTP port"},
        {"Host: localhost\r\n", "Protocol error: this is no HTTP port"},
    };
    for (const auto& [stream, error] : cases) {
      CAPTURE(stream);
      for (size_t cut = 1; cut <= stream.size(); ++cut) CHECK(Parse(stream, {cut, stream.size()}).error == error);
    }
  }

  TEST_CASE("requests before a malformed one are served") {
    const Parsed parsed = Parse(Encode({"PING"}) + "*1\r\n:1\r\n", {1000});
    CHECK(parsed.requests == std::vector<Words>{{"PING"}});
    CHECK(parsed.error == "Protocol error: expected '$', got ':'");
  }

  TEST_CASE("an announced length over the limit is refused before its bytes come") {
    ParserLimits limits;
    limits.max_request_bytes = 1000;
    CHECK(Parse("*2\r\n$3\r\nGET\r\n$2000\r\n", {1}, limits).error ==
          "Protocol error: invalid bulk length: a request of 2035 bytes or more is over the limit of 1000");
    CHECK(Parse(Encode({"GET", std::string(900, 'k')}), {1}, limits).error == "");
    // Many small words are bounded too.
    Words words(70, "");
    CHECK(Parse(Encode(words), {1}, limits).error.find("over the limit of 1000") != std::string::npos);
    CHECK(Parse("*1\r\n$536870913\r\n", {100}).error.find("over the limit of 4194304") != std::string::npos);
  }

  TEST_CASE("a length line without its carriage return is refused, and not waited for") {
    for (const std::string line : {"*2\n", "*\n", "*1\r\n$3\n", "*1\r\n$\n"}) {
      CAPTURE(line);
      const std::string stream = line + std::string(1000, 'x');
      for (size_t piece : {size_t{1}, size_t{7}, stream.size()}) CHECK(Parse(stream, {piece}).error != "");
    }
    const std::string late = "*" + std::string(80, '1') + "\nx";
    CHECK(Parse(late, {1}) == Parse(late, {late.size()}));
  }

  TEST_CASE("an endless inline line is refused") {
    CHECK(Parse(std::string(70000, 'a'), {1000}).error == "Protocol error: too big inline request");
    CHECK(Parse(std::string(70000, 'a'), {70000}).error == "Protocol error: too big inline request");
    CHECK(Parse(std::string(70000, 'a') + "\n", {70001}).error == "Protocol error: too big inline request");
    CHECK(Parse(std::string(65536, 'a') + "\n", {70001}).requests.size() == 1);
  }

  TEST_CASE("large values and deep pipelines pass whole") {
    std::string stream;
    std::vector<Words> expected;
    for (int i = 0; i < 3; ++i) {
      expected.push_back(
          {"SET", "k", std::string((size_t{1} << 20) + static_cast<size_t>(i), static_cast<char>('a' + i))});
    }
    for (int i = 0; i < 20000; ++i) expected.push_back({"SET", fmt::format("key:{}", i), std::string(100, 'v')});
    for (const Words& words : expected) stream += Encode(words);
    for (const size_t piece : {size_t{1000}, size_t{65536}, stream.size()}) {
      const Parsed parsed = Parse(stream, {piece});
      CHECK(parsed.error == "");
      CHECK(parsed.requests == expected);
    }
  }
}

}  // namespace
}  // namespace ringraft::kv
