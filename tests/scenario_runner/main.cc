// test_scenarios [--rewrite | --hazards] [FILE...]: runs scenarios (all of tests/scenarios by default) and compares
// their stories with the expected ones. --rewrite stores the actual stories in the files; --hazards lists the files
// that name each row of the catalogue of hazards.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "commands.h"
#include "diff.h"
#include "scenario.h"

namespace {

using namespace ringraft;            // NOLINT(google-build-using-namespace): a program of one file
using namespace ringraft::scenario;  // NOLINT(google-build-using-namespace)

enum class Mode { kCompare, kRewrite, kHazards };

// The current line of the scenario, reported if the core aborts the process.
char g_place[512];

void OnAbort(int) {
  constexpr char kText[] = "broken invariant of the core at ";
  const bool is_reported = write(STDERR_FILENO, kText, sizeof kText - 1) > 0 &&
                           write(STDERR_FILENO, g_place, strlen(g_place)) > 0 && write(STDERR_FILENO, "\n", 1) > 0;
  std::signal(SIGABRT, is_reported ? SIG_DFL : SIG_IGN);  // abort() continues either way
}

bool ReadFile(const std::string& path, std::string& text) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return false;
  text.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  return !file.bad();
}

bool WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  return file.good();
}

// Returns whether the scenario passes.
bool RunFile(const std::string& path, Mode mode, std::map<std::string, std::vector<std::string>>& hazards) {
  const std::string name = std::filesystem::path(path).filename().string();
  std::string text;
  if (!ReadFile(path, text)) {
    std::fprintf(stderr, "%s: cannot read the file\n", path.c_str());
    return false;
  }
  auto parsed = ParseScenario(text);
  if (!parsed) {
    std::fprintf(stderr, "%s: %s\n", path.c_str(), parsed.error().message().c_str());
    return false;
  }
  for (const std::string& row : parsed.value().hazards) hazards[row].push_back(name);
  if (mode == Mode::kHazards) return true;
  Outcome outcome = RunScenario(std::move(parsed.value()), [&](size_t line) {
    std::snprintf(g_place, sizeof g_place, "%s:%zu", path.c_str(), line);
  });
  const std::string actual = WriteScenario(outcome.scenario);
  if (!outcome.problem.empty()) {
    std::fprintf(stderr, "%s:%zu: %s\n%s", path.c_str(), outcome.line, outcome.problem.c_str(),
                 UnifiedDiff(name, text, actual).c_str());
    return false;
  }
  if (actual == text) return true;
  if (mode == Mode::kRewrite) {
    if (WriteFile(path, actual)) return true;
    std::fprintf(stderr, "%s: cannot write the file\n", path.c_str());
    return false;
  }
  std::fprintf(stderr, "%s: the story has changed; if it is right, run test_scenarios --rewrite %s\n%s", path.c_str(),
               path.c_str(), UnifiedDiff(path, text, actual).c_str());
  return false;
}

// "B2" comes before "B12".
bool InOrder(const std::string& a, const std::string& b) {
  if (a[0] != b[0] || a.size() == b.size()) return a < b;
  return a.size() < b.size();
}

void PrintHazards(const std::map<std::string, std::vector<std::string>>& hazards) {
  std::vector<std::string> rows;
  for (const auto& [row, files] : hazards) rows.push_back(row);
  std::sort(rows.begin(), rows.end(), InOrder);
  for (const std::string& row : rows) {
    std::string files;
    for (const std::string& file : hazards.at(row)) files += (files.empty() ? "" : ", ") + file;
    std::printf("| %s | %s |\n", row.c_str(), files.c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  Mode mode = Mode::kCompare;
  std::vector<std::string> paths;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--rewrite") {
      mode = Mode::kRewrite;
    } else if (word == "--hazards") {
      mode = Mode::kHazards;
    } else if (word.starts_with("-")) {
      std::fprintf(stderr, "invalid option '%s'; usage: test_scenarios [--rewrite | --hazards] [FILE...]\n", argv[i]);
      return 2;
    } else {
      paths.push_back(word);
    }
  }
  const bool is_all = paths.empty();
  if (is_all) {
    for (const auto& entry : std::filesystem::directory_iterator(RINGRAFT_SCENARIOS)) {
      if (entry.path().extension() == ".txt") paths.push_back(entry.path().string());
    }
    std::sort(paths.begin(), paths.end());
  }
  std::signal(SIGABRT, OnAbort);
  std::map<std::string, std::vector<std::string>> hazards;
  size_t failed = 0;
  for (const std::string& path : paths) failed += RunFile(path, mode, hazards) ? 0 : 1;
  if (mode == Mode::kHazards) PrintHazards(hazards);
  std::fprintf(stderr, "%zu scenarios, %zu failed\n", paths.size(), failed);
  return failed == 0 && !paths.empty() ? 0 : 1;
}
