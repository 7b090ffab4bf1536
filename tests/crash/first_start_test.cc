// Power cuts within a first start: the directory's entries may be lost, too (hazard F15 in tests/CATALOGUE.md).
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "explorer.h"
#include "worker.h"

namespace ringraft::crash {
namespace {

constexpr int kSteps = 11;  // of a first start (tests/storage/data_directory_test.cc names them)

// More random states than usual: there are few commits, but directories, too.
Effort Thorough() {
  Effort effort;
  effort.blocks = effort.torn = 8;
  effort.most_blocks = effort.most_torn = 12;
  return effort;
}

// Explores a first start for each of `kills`: the steps after which earlier first starts were killed.
void ExploreStarts(const std::string& directory, Report& report, Flushes flushes,
                   const std::vector<std::vector<int>>& kills) {
  Random random(1);
  Explorer explorer(directory, flushes, random, [&](const std::string& where) { report.SetWhere(where); });
  for (const std::vector<int>& killed_after : kills) {
    std::string data = fmt::format("{}/data{}", directory, report.histories++);
    std::string problem = explorer.Explore(RecordFirstStart(data, MadeBy::kFirstStart, killed_after), Thorough());
    report.points = explorer.points();
    report.images = explorer.images();
    if (problem.empty()) continue;
    report.SetProblem(fmt::format("after kills at {}: {}", killed_after.empty() ? -1 : killed_after[0], problem));
    return;
  }
}

Report Explored(Flushes flushes, const std::vector<std::vector<int>>& kills) {
  Worker worker(
      [&](const std::string& directory, Report& report) { ExploreStarts(directory, report, flushes, kills); });
  return worker.Wait();
}

TEST_CASE("F15: a first start that loses power at any point is completed by the next, and its first commits stay") {
  Report report = Explored(Flushes::kHonest, {{}});
  CHECK_MESSAGE(report.problem[0] == '\0', report.problem);
  CHECK(report.images > 50);
  MESSAGE(report.images, " different images at ", report.points, " crash points");
}

TEST_CASE("F15: a first start that follows killed ones may lose power at any point, too") {
  std::vector<std::vector<int>> kills;
  for (int step = 0; step < kSteps; ++step) kills.push_back({step});
  for (int step = 0; step < kSteps; ++step) kills.push_back({step, kSteps - 1 - step, step / 2});
  Report report = Explored(Flushes::kHonest, kills);
  CHECK_MESSAGE(report.problem[0] == '\0', report.problem);
  CHECK(report.histories == kills.size());
  CHECK(report.images > 100 * kills.size());
  MESSAGE(report.images, " different images at ", report.points, " crash points");
}

TEST_CASE("F15: a first start with file or directory flushes that do nothing is detected") {
  CHECK(Explored(Flushes::kNone, {{}}).problem[0] != '\0');
  CHECK(Explored(Flushes::kNoDirectory, {{}}).problem[0] != '\0');
}

// The directory itself must be as durable as its contents, whichever program created it.
TEST_CASE("F15: commits survive in a directory that another program created and did not flush") {
  Worker worker([](const std::string& directory, Report& report) {
    Random random(1);
    Explorer explorer(directory, Flushes::kHonest, random);
    History history = RecordFirstStart(directory + "/data", MadeBy::kOthersWithoutFlush, {});
    report.SetProblem(explorer.Explore(history, Effort()));
  });
  const Report& report = worker.Wait();
  CHECK_MESSAGE(report.problem[0] == '\0', report.problem);
}

}  // namespace
}  // namespace ringraft::crash
