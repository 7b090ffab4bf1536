// The encoding of the built-in workloads' commands: words with a blank between them, so that a history can be read and
// written by hand. A blank, '%' or unprintable byte is written as %XX, an empty word as a single '%'. Pure.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ringraft::checker {

std::string EncodeWord(std::string_view bytes);
// None if `word` is not an encoded word.
std::optional<std::string> DecodeWord(std::string_view word);

// Encodes the words and puts blanks between them.
std::string JoinWords(std::initializer_list<std::string_view> words);
// Decodes the words; none if JoinWords could not have made the text from at least one word.
std::optional<std::vector<std::string>> SplitWords(std::string_view text);

// Parses a canonical decimal: no plus sign, no leading zeros.
std::optional<int64_t> ParseNumber(std::string_view text);

}  // namespace ringraft::checker
