#include "kv/resp.h"

#include <algorithm>
#include <charconv>

namespace ringraft::kv {
namespace {

char LowerChar(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

template <class Number>
void AppendNumber(std::string& out, Number number) {
  char digits[24];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
  out.append(digits, static_cast<size_t>(end - digits));
}

}  // namespace

void ReplyWriter::Header(char type, size_t number) {
  out_.push_back(type);
  AppendNumber(out_, number);
  out_.append("\r\n");
}

void ReplyWriter::Simple(std::string_view text) {
  out_.push_back('+');
  out_.append(text);
  out_.append("\r\n");
}

void ReplyWriter::Error(std::string_view text) {
  out_.push_back('-');
  const size_t start = out_.size();
  out_.append(text);
  std::replace_if(
      out_.begin() + static_cast<ptrdiff_t>(start), out_.end(), [](char c) { return c == '\r' || c == '\n'; }, ' ');
  out_.append("\r\n");
}

void ReplyWriter::Integer(int64_t value) {
  out_.push_back(':');
  AppendNumber(out_, value);
  out_.append("\r\n");
}

void ReplyWriter::Bulk(std::string_view bytes) {
  Header('$', bytes.size());
  out_.append(bytes);
  out_.append("\r\n");
}

void ReplyWriter::Null() { out_.append(protocol_ == Protocol::kResp3 ? "_\r\n" : "$-1\r\n"); }

void ReplyWriter::Map(size_t pairs) {
  if (protocol_ == Protocol::kResp3) {
    Header('%', pairs);
  } else {
    Header('*', 2 * pairs);
  }
}

void ReplyWriter::Text(std::string_view text) {
  if (protocol_ == Protocol::kResp2) return Bulk(text);
  Header('=', text.size() + 4);
  out_.append("txt:");
  out_.append(text);
  out_.append("\r\n");
}

std::optional<int64_t> ParseInteger(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  const std::string_view digits = text.front() == '-' ? text.substr(1) : text;
  const bool is_zero = text == "0";
  if (digits.front() == '0' && !is_zero) return std::nullopt;
  return value;
}

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return LowerChar(x) == LowerChar(y); });
}

std::string ToLower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), LowerChar);
  return lower;
}

}  // namespace ringraft::kv
