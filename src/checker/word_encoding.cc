#include "checker/word_encoding.h"

#include <fmt/format.h>

#include <charconv>

namespace ringraft::checker {
namespace {

bool IsPlain(char c) { return c > ' ' && c <= '~' && c != '%'; }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

std::string EncodeWord(std::string_view bytes) {
  if (bytes.empty()) return "%";
  std::string word;
  for (const char c : bytes) {
    if (IsPlain(c)) {
      word.push_back(c);
    } else {
      word += fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    }
  }
  return word;
}

std::optional<std::string> DecodeWord(std::string_view word) {
  if (word == "%") return std::string();
  std::string bytes;
  for (size_t i = 0; i < word.size(); ++i) {
    if (IsPlain(word[i])) {
      bytes.push_back(word[i]);
      continue;
    }
    if (word[i] != '%' || i + 2 >= word.size()) return std::nullopt;
    const int high = HexDigit(word[i + 1]);
    const int low = HexDigit(word[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  if (bytes.empty()) return std::nullopt;
  return bytes;
}

std::string JoinWords(std::initializer_list<std::string_view> words) {
  std::string text;
  for (const std::string_view word : words) {
    if (!text.empty()) text.push_back(' ');
    text += EncodeWord(word);
  }
  return text;
}

std::optional<std::vector<std::string>> SplitWords(std::string_view text) {
  std::vector<std::string> words;
  while (true) {
    const size_t end = text.find(' ');
    std::optional<std::string> word = DecodeWord(text.substr(0, end));
    if (!word) return std::nullopt;
    words.push_back(std::move(*word));
    if (end == std::string_view::npos) return words;
    text.remove_prefix(end + 1);
  }
}

std::optional<int64_t> ParseNumber(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (text != fmt::format_int(number).c_str()) return std::nullopt;
  return number;
}

}  // namespace ringraft::checker
