#include "kv/request_parser.h"

#include <fmt/format.h>
#include <hiredis/hiredis.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/assert.h"
#include "kv/resp.h"

namespace ringraft::kv {
namespace {

// What the reader is fed at a time. It moves its rest once per KiB consumed, so this bounds what it moves.
constexpr size_t kPiece = 4096;
// A length line holds a number: longer ones are no such thing.
constexpr size_t kMaxLengthLine = 64;
// What a word costs beside its bytes, so that many empty words are bounded too.
constexpr size_t kWordOverhead = 16;

}  // namespace

void Request::Clear() {
  // One huge request must not pin its memory for the life of the connection.
  if (bytes_.capacity() > (size_t{256} << 10)) std::string().swap(bytes_);
  bytes_.clear();
  ends_.clear();
}

void Request::Add(std::string_view word) {
  bytes_.append(word);
  ends_.push_back(bytes_.size());
}

std::span<const std::string_view> Request::args() {
  views_.clear();
  size_t start = 0;
  for (const size_t end : ends_) {
    views_.push_back(std::string_view(bytes_).substr(start, end - start));
    start = end;
  }
  return views_;
}

// What hiredis calls while it reads. A null result makes it stop with an error; `error_` then has our text.
struct RequestParser::Callbacks {
  static RequestParser& Self(const redisReadTask* task) { return *static_cast<RequestParser*>(task->privdata); }
  static void* Made(RequestParser& self) { return &self; }

  static void* OnString(const redisReadTask* task, char* bytes, size_t size) {
    RequestParser& self = Self(task);
    if (task->type != REDIS_REPLY_STRING) {
      const char type = task->type == REDIS_REPLY_STATUS ? '+' : task->type == REDIS_REPLY_ERROR ? '-' : '=';
      return self.Fail(fmt::format("expected '$', got '{}'", type)), nullptr;
    }
    self.partial_.Add(std::string_view(bytes, size));
    self.bulk_missing_ = 0;
    return Made(self);
  }

  static void* Array(const redisReadTask* task, size_t elements) {
    RequestParser& self = Self(task);
    if (task->parent != nullptr) return self.Fail("expected '$', got '*'"), nullptr;
    if (elements > self.limits_.max_words) return self.Fail("invalid multibulk length"), nullptr;
    self.words_announced_ = elements;
    return Made(self);
  }
  // hiredis changed the type of the count between 0.14 and 1.0: assigning the overloaded name picks the right one.
  static void* OnArray(const redisReadTask* task, int elements) { return Array(task, static_cast<size_t>(elements)); }
  static void* OnArray(const redisReadTask* task, size_t elements) { return Array(task, elements); }

  static void* OnInteger(const redisReadTask* task, long long) {
    return Self(task).Fail("expected '$', got ':'"), nullptr;
  }

  static void* OnNil(const redisReadTask* task) {
    RequestParser& self = Self(task);
    if (task->parent != nullptr) return self.Fail("invalid bulk length"), nullptr;
    return Made(self);  // "*-1": no request, as in Redis
  }

  static void Free(void*) {}
};

RequestParser::RequestParser(ParserLimits limits) : limits_(limits) { MakeReader(); }

RequestParser::~RequestParser() { redisReaderFree(reader_); }

void RequestParser::MakeReader() {
  static redisReplyObjectFunctions functions = [] {
    redisReplyObjectFunctions f{};
    f.createString = Callbacks::OnString;
    f.createArray = Callbacks::OnArray;
    f.createInteger = Callbacks::OnInteger;
    f.createNil = Callbacks::OnNil;
    f.freeObject = Callbacks::Free;
    return f;
  }();
  if (reader_ != nullptr) redisReaderFree(reader_);
  reader_ = redisReaderCreateWithFunctions(&functions);
  RINGRAFT_ASSERT(reader_ != nullptr);
  reader_->privdata = this;
}

std::string_view RequestParser::Unread() const {
  return std::string_view(reader_->buf + reader_->pos, reader_->len - reader_->pos);
}

RequestParser::Outcome RequestParser::Next(std::string_view& input, Request& request) {
  while (true) {
    if (!error_.empty()) return Outcome::kError;
    request.Clear();
    if (!in_array_ && inline_.empty() && Unread().empty() && input.empty()) return Outcome::kNeedMore;
    const Outcome outcome = IsInline(input) ? NextInline(input, request) : NextArray(input, request);
    // Redis skips an empty line or array.
    if (outcome != Outcome::kRequest || !request.empty()) return outcome;
  }
}

// Which of the two forms comes next? Bytes of an inline command that the reader was fed are taken back.
bool RequestParser::IsInline(std::string_view input) {
  if (in_array_) return false;
  const std::string_view unread = Unread();
  if (!inline_.empty()) {
    // Bytes before an array: they go to the reader again.
    if (inline_.front() != '*') return true;
    std::string taken = std::exchange(inline_, std::string());
    redisReaderFeed(reader_, taken.data(), taken.size());
    return false;
  }
  if (unread.empty()) return input.front() != '*';
  if (unread.front() == '*') return false;
  inline_.assign(unread);
  inline_checked_ = 0;
  MakeReader();
  return true;
}

RequestParser::Outcome RequestParser::NextArray(std::string_view& input, Request& request) {
  in_array_ = true;
  while (true) {
    void* reply = nullptr;
    const bool is_sound = Unread().empty() || redisReaderGetReply(reader_, &reply) == REDIS_OK;
    if (!is_sound) {
      FailFromReader();
      return Outcome::kError;
    }
    if (reply != nullptr) {
      // Element types that this code does not know (of newer versions of hiredis) were not added.
      if (partial_.word_count() != words_announced_ && !Fail("expected '$'")) return Outcome::kError;
      std::swap(partial_, request);
      partial_.Clear();
      words_announced_ = 0;
      in_array_ = false;
      return Outcome::kRequest;
    }
    if (!CheckAnnouncedLength()) return Outcome::kError;
    if (input.empty()) return Outcome::kNeedMore;
    const size_t piece = std::min(input.size(), std::max(kPiece, bulk_missing_));
    if (redisReaderFeed(reader_, input.data(), piece) != REDIS_OK) {
      FailFromReader();
      return Outcome::kError;
    }
    input.remove_prefix(piece);
  }
}

// The reader is after a type byte, at a length line that may be incomplete. False: refused.
bool RequestParser::CheckAnnouncedLength() {
  const std::string_view unread = Unread();
  const size_t line_end = unread.find('\n', 0);
  if (std::min(line_end, unread.size()) > kMaxLengthLine)
    return Fail(words_announced_ == 0 ? "too big mbulk count string" : "too big bulk count string");
  if (line_end == std::string_view::npos) {
    bulk_missing_ = 0;
    return true;
  }
  // The reader looks for both, and would wait for them forever, with all further input.
  if (line_end == 0 || unread[line_end - 1] != '\r')
    return Fail(words_announced_ == 0 ? "invalid multibulk length" : "invalid bulk length");
  uint64_t length = 0;
  const auto [end, error] = std::from_chars(unread.data(), unread.data() + line_end, length);
  if (error == std::errc::result_out_of_range) return Fail("invalid bulk length");
  if (error != std::errc() || *end != '\r') return true;  // the reader will say what is wrong
  const size_t present = partial_.bytes() + kWordOverhead * (partial_.word_count() + 1);
  if (present > limits_.max_request_bytes || length > limits_.max_request_bytes - present) {
    return Fail(fmt::format("invalid bulk length: a request of {} bytes or more is over the limit of {}",
                            present + length, limits_.max_request_bytes));
  }
  bulk_missing_ = line_end + 1 + length + 2 - unread.size();
  return true;
}

RequestParser::Outcome RequestParser::NextInline(std::string_view& input, Request& request) {
  while (true) {
    for (; inline_checked_ < inline_.size(); ++inline_checked_) {
      const auto c = static_cast<unsigned char>(inline_[inline_checked_]);
      if (c == '\n') break;
      const bool is_text = c >= 0x20 ? c != 0x7f : c == '\t' || c == '\r';
      if (!is_text) return Fail(fmt::format("byte 0x{:02x} in an inline command", c)), Outcome::kError;
    }
    if (inline_checked_ > limits_.max_line_bytes) return Fail("too big inline request"), Outcome::kError;
    if (inline_checked_ < inline_.size()) break;
    if (input.empty()) return Outcome::kNeedMore;
    // Up to a line end and no further, so that nothing has to be moved for each line.
    const size_t line_end = input.find('\n');
    const size_t piece = line_end == std::string_view::npos ? input.size() : line_end + 1;
    const size_t room = limits_.max_line_bytes + 2 - std::min(inline_.size(), limits_.max_line_bytes + 1);
    const size_t taken = std::min(piece, room);
    inline_.append(input.substr(0, taken));
    input.remove_prefix(taken);
  }
  std::string_view line(inline_.data(), inline_checked_);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (!SplitInline(line, request)) return Fail("unbalanced quotes in request"), Outcome::kError;
  inline_.erase(0, inline_checked_ + 1);
  inline_checked_ = 0;
  // A browser that was lured into sending commands in the body of a request to this port.
  if (!request.empty() &&
      (EqualsIgnoringCase(request.args()[0], "post") || EqualsIgnoringCase(request.args()[0], "host:"))) {
    return Fail("this is no HTTP port"), Outcome::kError;
  }
  return Outcome::kRequest;
}

// The first failure counts. Always false.
bool RequestParser::Fail(std::string_view what) {
  if (error_.empty()) error_ = fmt::format("Protocol error: {}", what);
  return false;
}

void RequestParser::FailFromReader() {
  const std::string_view text = reader_->errstr;
  const size_t quote = text.find('"');
  if (text.find("reply type byte") != text.npos && quote != text.npos) {
    Fail(fmt::format("expected '$', got '{}'", text.substr(quote + 1, text.rfind('"') - quote - 1)));
  } else if (text.find("ulti-bulk length") != text.npos) {
    Fail("invalid multibulk length");
  } else if (text.find("ulk string length") != text.npos) {
    Fail("invalid bulk length");
  } else {
    Fail(text);
  }
}

namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// `rest` begins after a backslash inside double quotes; consumes the escape.
char TakeEscape(std::string_view& rest) {
  const char c = rest.front();
  if (c == 'x' && rest.size() >= 3 && HexDigit(rest[1]) >= 0 && HexDigit(rest[2]) >= 0) {
    const char byte = static_cast<char>(HexDigit(rest[1]) * 16 + HexDigit(rest[2]));
    rest.remove_prefix(3);
    return byte;
  }
  rest.remove_prefix(1);
  switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return c;
  }
}

// `rest` begins after an opening quote; consumes everything up to the closing one. False: there is none, or the word
// continues after it.
bool TakeQuoted(std::string_view& rest, char quote, std::string& word) {
  while (!rest.empty() && rest.front() != quote) {
    const bool is_escape = rest.front() == '\\' && rest.size() > 1 && (quote == '"' || rest[1] == '\'');
    if (is_escape) {
      rest.remove_prefix(1);
      word.push_back(quote == '"' ? TakeEscape(rest) : '\'');
      if (quote == '\'') rest.remove_prefix(1);
    } else {
      word.push_back(rest.front());
      rest.remove_prefix(1);
    }
  }
  if (rest.empty()) return false;
  rest.remove_prefix(1);
  return rest.empty() || IsBlank(rest.front());
}

}  // namespace

bool SplitInline(std::string_view line, Request& request) {
  std::string word;
  while (true) {
    while (!line.empty() && IsBlank(line.front())) line.remove_prefix(1);
    if (line.empty()) return true;
    word.clear();
    while (!line.empty() && !IsBlank(line.front())) {
      const char c = line.front();
      line.remove_prefix(1);
      if (c != '"' && c != '\'') {
        word.push_back(c);
      } else if (!TakeQuoted(line, c, word)) {
        return false;
      }
    }
    request.Add(word);
  }
}

}  // namespace ringraft::kv
