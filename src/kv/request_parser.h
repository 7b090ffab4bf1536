// Requests of the Redis protocol, cut out of a stream of bytes: arrays of bulk strings through hiredis's reader, and
// inline commands ("PING\r\n"), which that reader does not know. Owned by one connection; one thread.
//
// What hiredis does not bound is bounded here: it waits for a bulk string of any announced length, and it moves what is
// left of its buffer each time that it has consumed 1 KiB, which is quadratic in what it is fed. So it is fed small
// pieces, or exactly the missing bytes of a long string, and announced lengths are read before their bytes are waited
// for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct redisReader;

namespace ringraft::kv {

// The words of one request. Reused, so that its buffers are.
class Request {
 public:
  void Clear();
  void Add(std::string_view word);
  bool empty() const { return ends_.empty(); }
  size_t word_count() const { return ends_.size(); }
  size_t bytes() const { return bytes_.size(); }
  // Views that live until the next change.
  std::span<const std::string_view> args();

 private:
  std::string bytes_;
  std::vector<size_t> ends_;
  std::vector<std::string_view> views_;
};

struct ParserLimits {
  size_t max_request_bytes = size_t{4} << 20;  // of all words of a request, with 16 for each
  size_t max_words = size_t{1} << 20;
  size_t max_line_bytes = size_t{64} << 10;  // an inline command; a length line is far shorter
};

class RequestParser {
 public:
  explicit RequestParser(ParserLimits limits = {});
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;

  enum class Outcome { kRequest, kNeedMore, kError };

  // Takes bytes off the front of `input` until one request is complete (it is then in `request`, and never empty) or
  // `input` is empty. After kError the stream has no meaning any more: send `error()` and close it.
  Outcome Next(std::string_view& input, Request& request);

  // "Protocol error: ...", with Redis's texts where Redis has one.
  const std::string& error() const { return error_; }

 private:
  struct Callbacks;
  friend struct Callbacks;

  Outcome NextArray(std::string_view& input, Request& request);
  Outcome NextInline(std::string_view& input, Request& request);
  bool IsInline(std::string_view input);
  bool CheckAnnouncedLength();
  void FailFromReader();
  bool Fail(std::string_view what);
  void MakeReader();
  std::string_view Unread() const;

  const ParserLimits limits_;
  redisReader* reader_ = nullptr;
  Request partial_;            // the words so far of a request that is not complete
  bool in_array_ = false;      // inside an array: the reader has at least its '*'
  size_t words_announced_ = 0;
  size_t bulk_missing_ = 0;    // bytes of the present string that have not been fed, if its length is known
  std::string inline_;         // an inline command that is not complete, or bytes taken back from the reader
  size_t inline_checked_ = 0;  // bytes at the front of `inline_` that hold neither a line end nor anything forbidden
  std::string error_;
};

// Words of an inline command, with Redis's quoting. False if the quotes are unbalanced.
bool SplitInline(std::string_view line, Request& request);

}  // namespace ringraft::kv
