// The encoding of the ready-made workloads: words with a blank between them, so that a history can be read and written
// by hand. A byte that is not printable, a blank or '%' is written as %XX, an empty word as a single '%'. Pure.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ringraft::checker {

std::string EncodeWord(std::string_view bytes);
// None if the text is no encoded word.
std::optional<std::string> DecodeWord(std::string_view word);

// The words, encoded, with blanks between them.
std::string JoinWords(std::initializer_list<std::string_view> words);
// The words, decoded; none if the text is not what JoinWords can make of one word or more.
std::optional<std::vector<std::string>> SplitWords(std::string_view text);

// Canonical decimal: no sign but '-', no leading zeros.
std::optional<int64_t> ParseNumber(std::string_view text);

}  // namespace ringraft::checker
