#include "support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace ringraft::storage {
namespace {

std::string Text(const LogEntry& entry) {
  return std::to_string(entry.index.value()) + "@" + std::to_string(entry.term.value()) + ":" +
         std::string(entry.command) + (entry.type == LogEntryType::kConfiguration ? "*" : "");
}

void Add(std::string& text, const std::string& word) { text += (text.empty() ? "" : " ") + word; }

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  const char* base = std::getenv("TMPDIR");
  path_ = std::string(base != nullptr ? base : "/tmp") + "/ringraft-test-XXXXXX";
  REQUIRE(mkdtemp(path_.data()) != nullptr);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::chrono::system_clock::time_point At(int64_t microseconds) {
  return std::chrono::system_clock::time_point(std::chrono::microseconds(microseconds));
}

LogEntry Entry(uint64_t index, uint64_t term, std::string_view command, LogEntryType type) {
  return LogEntry(Index(index), Term(term), type, command, At(1'000'000));
}

BatchRef Batch(uint64_t first, uint64_t term, const std::vector<std::string>& commands, uint64_t group) {
  BatchBuilder builder;
  for (const std::string& command : commands) {
    LogEntryType type = command.empty() ? LogEntryType::kNoop : LogEntryType::kCommand;
    if (command.rfind("config", 0) == 0) type = LogEntryType::kConfiguration;
    builder.Add(type, command);
  }
  return builder.Seal(Index(first), Term(term), NodeId(1), GroupId(group), 1'000'000'000);
}

std::string Text(std::span<const BatchRef> batches) {
  std::string text;
  for (const BatchRef& batch : batches)
    for (LogEntry entry : batch) Add(text, Text(entry));
  return text;
}

std::string Text(std::span<const OwnedLogEntry> entries) {
  std::string text;
  for (const OwnedLogEntry& entry : entries) Add(text, Text(entry.view()));
  return text;
}

std::string Text(Storage& storage) {
  auto recovered = storage.Recover();
  REQUIRE_MESSAGE(recovered, recovered.error().message());
  const RecoveredLog& log = recovered.value();
  std::string text = "term " + std::to_string(log.hard_state.term.value()) + " vote " +
                     std::to_string(log.hard_state.vote.value()) + " | terms";
  for (const TermRun& run : log.terms)
    text += " " + std::to_string(run.first_index.value()) + ":" + std::to_string(run.term.value());
  text += " | configurations";
  for (const StoredConfiguration& each : log.configurations)
    text += " " + std::to_string(each.index.value()) + ":" + each.command;
  auto batches = storage.Read(Index(1), SIZE_MAX);
  REQUIRE_MESSAGE(batches, batches.error().message());
  CHECK(log.last_index == (batches.value().empty() ? Index(0) : batches.value().back().last()));
  return text + " | " + Text(batches.value());
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

void WriteFile(const std::string& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  REQUIRE(file.good());
}

}  // namespace ringraft::storage
