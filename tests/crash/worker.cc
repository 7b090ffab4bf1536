#include "worker.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <new>

#include "base/assert.h"

namespace ringraft::crash {
namespace {

constexpr unsigned kSecondsAtMost = 540;  // LMDB may loop in a damaged tree

void Copy(const std::string& text, char* to, size_t size) {
  size_t length = std::min(text.size(), size - 1);
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
}

std::string NewDirectory() {
  const char* base = std::getenv("TMPDIR");
  for (std::string parent : {"/dev/shm", base != nullptr ? base : "/tmp"}) {
    std::string path = parent + "/ringraft-crash-XXXXXX";
    if (mkdtemp(path.data()) != nullptr) return path;
  }
  RINGRAFT_ASSERT(!"no directory for the images: set TMPDIR");
  return "";
}

}  // namespace

void Report::SetWhere(const std::string& text) { Copy(text, where, sizeof where); }
void Report::SetProblem(const std::string& text) { Copy(text, problem, sizeof problem); }

Worker::Worker(const std::function<void(const std::string& directory, Report& report)>& work)
    : directory_(NewDirectory()) {
  void* memory = mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  RINGRAFT_ASSERT(memory != MAP_FAILED);
  report_ = new (memory) Report();
  child_ = fork();
  RINGRAFT_ASSERT(child_ >= 0);
  if (child_ > 0) return;
  alarm(kSecondsAtMost);
  try {
    work(directory_, *report_);
  } catch (const std::exception& error) {
    report_->SetProblem(fmt::format("an exception, {}: {}", report_->where, error.what()));
  }
  _exit(0);
}

const Report& Worker::Wait() {
  int status = 0;
  RINGRAFT_ASSERT(waitpid(child_, &status, 0) == child_);
  child_ = 0;
  if (status != 0 && report_->problem[0] == '\0')
    report_->SetProblem(fmt::format("the process that opened it died (status {:#x}), at {}", status, report_->where));
  return *report_;
}

Worker::~Worker() {
  if (child_ > 0) Wait();
  munmap(report_, sizeof(Report));
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

}  // namespace ringraft::crash
