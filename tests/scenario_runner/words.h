// The words of one command line, taken one after the other. The first invalid word sets the error; all calls after it
// do nothing, so that a grammar checks for errors only at its end.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "scenario.h"

namespace ringraft::scenario {

class Words {
 public:
  explicit Words(std::string_view line);

  bool AtEnd() const { return failed() || next_ == words_.size(); }
  bool failed() const { return !error_.empty(); }
  const std::string& error() const { return error_; }

  std::string_view Peek() const { return AtEnd() ? std::string_view() : words_[next_]; }
  std::string_view Take(std::string_view expected);
  uint64_t Number(std::string_view what, uint64_t min, uint64_t max);
  uint64_t Server() { return Number("server", 1, kMaxServers); }
  // One or more servers, each once, up to the end or a word that is not a number.
  std::vector<uint64_t> Servers();
  std::vector<std::vector<uint64_t>> Groups();  // "1 2 | 3": two or more
  Link TakeLink();
  Duration TakeDuration();
  size_t OneOf(std::string_view what, std::span<const std::string_view> expected);
  bool TakeIf(std::string_view word);
  void NoMore();

  // "invalid WHAT 'WORD': expected EXPECTED"
  void Fail(std::string_view what, std::string_view word, std::string_view expected);

 private:
  std::vector<std::string_view> words_;
  size_t next_ = 0;
  std::string error_;
};

// Returns false unless the text is an integer of digits only that fits.
bool ParseNumber(std::string_view text, uint64_t& value);

}  // namespace ringraft::scenario
