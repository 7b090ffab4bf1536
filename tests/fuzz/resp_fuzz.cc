// A client's bytes at ringraft-kv. The first byte determines the pieces in which they arrive: the requests must not
// depend on it.
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "fuzz.h"
#include "kv/request_parser.h"

namespace {

std::vector<std::string> Parse(std::string_view bytes, size_t piece) {
  ringraft::kv::ParserLimits limits;
  limits.max_request_bytes = 4096;
  limits.max_words = 64;
  limits.max_line_bytes = 512;
  ringraft::kv::RequestParser parser(limits);
  ringraft::kv::Request request;
  std::vector<std::string> seen;
  while (!bytes.empty()) {
    std::string_view input = bytes.substr(0, piece);
    bytes.remove_prefix(input.size());
    while (true) {
      const auto outcome = parser.Next(input, request);
      if (outcome == ringraft::kv::RequestParser::Outcome::kError) {
        RINGRAFT_ASSERT(parser.error().starts_with("Protocol error"));
        seen.push_back("error");
        return seen;
      }
      if (outcome == ringraft::kv::RequestParser::Outcome::kNeedMore) break;
      RINGRAFT_ASSERT(!request.empty());
      std::string words;
      for (std::string_view word : request.args()) words.append(word).push_back('\n');
      seen.push_back(words);
    }
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  RINGRAFT_ASSERT(Parse(bytes, 1 + data[0]) == Parse(bytes, SIZE_MAX));
  return 0;
}
