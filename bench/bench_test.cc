// What the numbers of ringraft-bench rest on: the histogram, the line of JSON, the lines between `load` and the nodes,
// and the probe that counts flushes.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmath>
#include <string>

#include "control.h"
#include "counters.h"
#include "histogram.h"
#include "line_socket.h"
#include "report.h"

namespace ringraft::bench {
namespace {

TEST_CASE("a quantile is within one percent of the true value, over the whole range") {
  for (const uint64_t value : {1ull, 63ull, 64ull, 65ull, 127ull, 128ull, 1000ull, 123456ull, 999999999ull, 1ull << 40,
                               (1ull << 62) + 12345, ~0ull}) {
    Histogram histogram;
    histogram.Add(value);
    histogram.Add(~0ull);  // so that the middle of the bucket is not cut off at the maximum
    CHECK(std::abs(histogram.Quantile(0.5) - static_cast<double>(value)) <= 0.01 * static_cast<double>(value));
  }
}

TEST_CASE("quantiles of 1..1000 are where they belong") {
  Histogram histogram;
  for (uint64_t value = 1; value <= 1000; ++value) histogram.Add(value);
  CHECK(std::abs(histogram.Quantile(0.5) - 500) <= 5);
  CHECK(std::abs(histogram.Quantile(0.99) - 990) <= 9);
  CHECK(histogram.Quantile(1.0) == 1000);
  CHECK(histogram.max() == 1000);
  CHECK(histogram.total() == 1000);
}

TEST_CASE("an empty histogram has quantile 0") { CHECK(Histogram().Quantile(0.99) == 0); }

TEST_CASE("the difference of two readings holds only what came in between") {
  Histogram histogram;
  histogram.Add(10);
  const Histogram earlier = histogram;
  histogram.Add(50);
  const Histogram recent = histogram.Since(earlier);
  CHECK(recent.total() == 1);
  CHECK(recent.Quantile(0.5) == 50);
}

TEST_CASE("merged histograms count both") {
  Histogram one;
  Histogram other;
  one.Add(10);
  other.Add(20);
  one.Merge(other);
  CHECK(one.total() == 2);
  CHECK(one.max() == 20);
  CHECK(one.Quantile(0.5) == 10);
}

TEST_CASE("the line of JSON has its keys in their order") {
  Report report;
  report.nodes = 3;
  report.seconds = 2;
  report.commands = 1000;
  report.ops_per_s = 500;
  report.all.cpu_ns = 5'000'000;
  report.all.flushes = 40;
  report.all.written_bytes = 512000;
  CHECK(ToJson(report) ==
        R"({"nodes":3,"payload":128,"outstanding":1024,"seconds":5,"ops_per_s":500,"p50_us":0.0,"p99_us":0.0,)"
        R"("p999_us":0.0,"max_us":0.0,"cpu_s_per_million":5.000,"flushes_per_s":20,"bytes_written_per_op":512.0,)"
        R"("errors":0,"batch":1,"store":"lmdb"})");
}

TEST_CASE("failed calls are reported for each kind") {
  LoadStats stats;
  stats.errors[static_cast<size_t>(Errc::kBusy)] = 2;
  stats.first_messages[static_cast<size_t>(Errc::kBusy)] = "full";
  Report report;
  TakeStats(report, stats);
  CHECK(report.errors == 2);
  CHECK(report.error_lines == "2 calls failed: full\n");
}

TEST_CASE("a load and what was used come out of a line as they went in") {
  LoadSpec load;
  load.payload = 16384;
  load.outstanding = 7;
  load.seconds = 2.5;
  load.threads = 3;
  const LoadSpec read = LoadFrom(Message::Parse("run " + ToFields(load)));
  CHECK(ToFields(read) == ToFields(load));
  Usage usage;
  usage.cpu_ns = 1ull << 60;
  usage.flushes = 5;
  usage.written_bytes.reset();
  CHECK(ToFields(UsageFrom(Message::Parse("stats id=1 " + ToFields(usage)))) == ToFields(usage));
}

TEST_CASE("a load that makes no sense is refused by the name of its option") {
  LoadSpec load;
  load.outstanding = 0;
  REQUIRE(!load.Validate());
  CHECK(load.Validate().error().message() == "--outstanding is 0; use 1 to 1048576");
}

TEST_CASE("fdatasync and writes through O_DSYNC are counted, other writes are not") {
  static NodeCounters counters;
  CountFlushesInto(counters);
  char path[] = "ringraft-bench-test-XXXXXX";
  const int plain = mkstemp(path);
  const int synchronous = open(path, O_WRONLY | O_DSYNC);
  unlink(path);
  REQUIRE(plain >= 0);
  REQUIRE(synchronous >= 0);
  CHECK(pwrite(plain, "x", 1, 0) == 1);
  CHECK(counters.flushes == 0);
  CHECK(fdatasync(plain) == 0);
  CHECK(counters.flushes == 1);
  CHECK(pwrite(synchronous, "y", 1, 0) == 1);
  CHECK(counters.flushes == 2);
  CHECK(pwrite(-1, "z", 1, 0) == -1);
  CHECK(counters.flushes == 2);
  close(plain);
  close(synchronous);
}

}  // namespace
}  // namespace ringraft::bench
