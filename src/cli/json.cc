#include "cli/json.h"

#include <fmt/format.h>

#include <algorithm>

namespace ringraft::cli {
namespace {

// How many bytes the character at the beginning of a text has; 0 if it is none. RFC 3629, section 4.
size_t CharacterBytes(std::string_view text) {
  const auto at = [text](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto is_tail = [&at](size_t i) { return at(i) >= 0x80 && at(i) <= 0xbf; };
  const unsigned first = at(0), second = at(1);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return is_tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const unsigned low = first == 0xe0 ? 0xa0 : 0x80, high = first == 0xed ? 0x9f : 0xbf;
    return second >= low && second <= high && is_tail(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const unsigned low = first == 0xf0 ? 0x90 : 0x80, high = first == 0xf4 ? 0x8f : 0xbf;
    return second >= low && second <= high && is_tail(2) && is_tail(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t bytes = CharacterBytes(text);
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

void JsonWriter::BeforeValue() {
  if (needs_comma_) out_ += ',';
  needs_comma_ = true;
}

void JsonWriter::Begin(char bracket) {
  BeforeValue();
  out_ += bracket;
  needs_comma_ = false;
}

void JsonWriter::End(char bracket) {
  out_ += bracket;
  needs_comma_ = true;
}

void JsonWriter::Key(std::string_view name) {
  BeforeValue();
  Quote(name);
  out_ += ':';
  needs_comma_ = false;
}

void JsonWriter::Text(std::string_view text) {
  BeforeValue();
  Quote(text);
}

void JsonWriter::Number(uint64_t number) {
  BeforeValue();
  out_ += std::to_string(number);
}

void JsonWriter::Bool(bool value) {
  BeforeValue();
  out_ += value ? "true" : "false";
}

void JsonWriter::Null() {
  BeforeValue();
  out_ += "null";
}

void JsonWriter::Quote(std::string_view text) {
  out_ += '"';
  while (!text.empty()) {
    const size_t bytes = CharacterBytes(text);
    const char first = text.front();
    if (bytes == 0) {
      out_ += "\\ufffd";
    } else if (first == '"' || first == '\\') {
      out_ += '\\';
      out_ += first;
    } else if (static_cast<unsigned char>(first) < 0x20 || first == 0x7f) {
      out_ += fmt::format("\\u{:04x}", static_cast<unsigned>(first));
    } else {
      out_ += text.substr(0, bytes);
    }
    text.remove_prefix(std::max<size_t>(bytes, 1));
  }
  out_ += '"';
}

}  // namespace ringraft::cli
