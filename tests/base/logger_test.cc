// The loggers of the library.
#include "ringraft/logger.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <string>

namespace ringraft {
namespace {

// The text that `write` prints to standard error.
template <class Function>
std::string Captured(Function write) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  int saved = dup(STDERR_FILENO);
  dup2(ends[1], STDERR_FILENO);
  write();
  dup2(saved, STDERR_FILENO);
  close(saved);
  close(ends[1]);
  std::string text(4096, '\0');
  ssize_t size = read(ends[0], text.data(), text.size());
  close(ends[0]);
  text.resize(size > 0 ? static_cast<size_t>(size) : 0);
  return text;
}

TEST_CASE("a line has a UTC time in milliseconds, a level and the message") {
  std::string line = Captured([] { StderrLogger(LogLevel::kInfo).Write(LogLevel::kWarning, "disk is slow"); });
  CHECK(line.size() == std::string("2026-01-31T12:00:00.000Z WARN  disk is slow\n").size());
  CHECK(line.substr(23) == "Z WARN  disk is slow\n");
  CHECK(line[10] == 'T');
  CHECK(line[19] == '.');
}

TEST_CASE("messages below the minimum level are omitted") {
  std::string text = Captured([] {
    StderrLogger(LogLevel::kWarning).Write(LogLevel::kInfo, "no");
    StderrLogger(LogLevel::kWarning).Write(LogLevel::kDebug, "no");
    StderrLogger(LogLevel::kWarning).Write(LogLevel::kError, "yes");
    StderrLogger(LogLevel::kDebug).Write(LogLevel::kDebug, "too");
    SilentLogger().Write(LogLevel::kError, "no");
  });
  CHECK(text.find("no") == std::string::npos);
  CHECK(text.find("ERROR yes\n") != std::string::npos);
  CHECK(text.find("DEBUG too\n") != std::string::npos);
}

}  // namespace
}  // namespace ringraft
