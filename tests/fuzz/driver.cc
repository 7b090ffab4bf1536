// A replacement for libFuzzer: runs the files of a corpus, then COUNT changed ones, drawn from a seed. It does not
// measure coverage, but works with every compiler and sanitizer.
//
//   FUZZER CORPUS [COUNT [SEED]]
//
// An input that crashes, takes too long, or takes memory without bound ends it with a message and is written to the
// file fuzz-input. With sanitizers, which need much memory themselves, memory is not checked.
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <string>
#include <vector>

#include "fuzz.h"

#pragma weak LLVMFuzzerCustomMutator  // optional

namespace {

uint64_t state;
uint64_t Draw(uint64_t n) { return DrawFrom(state, n); }

std::vector<std::string> corpus;
constexpr size_t kMostBytes = 65536;

void ChangeBytes(std::string& bytes) {
  const size_t at = bytes.empty() ? 0 : Draw(bytes.size());
  switch (Draw(7)) {
    case 0:
      if (!bytes.empty()) bytes[at] ^= static_cast<char>(1 << Draw(8));
      break;
    case 1:
      if (!bytes.empty()) bytes[at] = static_cast<char>(Draw(256));
      break;
    case 2:
      bytes.insert(at, 1 + Draw(8), static_cast<char>(Draw(256)));
      break;
    case 3:
      if (!bytes.empty()) bytes.erase(at, 1 + Draw(8));
      break;
    case 4:
      for (size_t i = at; i < std::min(at + 8, bytes.size()); ++i) bytes[i] = Draw(2) == 0 ? '\xff' : '\0';
      break;
    case 5: {
      const std::string& other = corpus[Draw(corpus.size())];
      const size_t from = other.empty() ? 0 : Draw(other.size());
      bytes.insert(at, other.substr(from, Draw(64)));
      break;
    }
    default:
      bytes.resize(at);
  }
  if (bytes.size() > kMostBytes) bytes.resize(kMostBytes);
}

void Change(std::string& bytes) {
  if (LLVMFuzzerCustomMutator == nullptr) return ChangeBytes(bytes);
  const size_t size = std::min(bytes.size(), kMostBytes);
  bytes.resize(kMostBytes);
  auto* data = reinterpret_cast<uint8_t*>(bytes.data());
  bytes.resize(LLVMFuzzerCustomMutator(data, size, kMostBytes, static_cast<unsigned int>(Draw(UINT32_MAX))));
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kBoundsMemory = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kBoundsMemory = false;
#else
constexpr bool kBoundsMemory = true;
#endif
#else
constexpr bool kBoundsMemory = true;
#endif
constexpr long kSeconds = 10;                      // of CPU time, for one input
constexpr rlim_t kMostReserved = rlim_t{1} << 30;  // bytes of address space
constexpr long kMostResident = long{256} << 10;    // in KiB
const std::string* running = nullptr;

[[noreturn]] void Complain(const char* what) {
  std::fprintf(stderr, "an input of %zu bytes %s; it is in the file fuzz-input\n", running->size(), what);
  if (std::FILE* file = std::fopen("fuzz-input", "wb")) {
    std::fwrite(running->data(), 1, running->size(), file);
    std::fclose(file);
  }
  ::_exit(1);
}

void BoundMemory() {
  if (!kBoundsMemory) return;
  rlimit limit{kMostReserved, kMostReserved};
  ::setrlimit(RLIMIT_AS, &limit);
  std::set_new_handler([] { Complain("asks for more memory than there may be"); });
}

void On(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  ::sigaction(signal, &action, nullptr);
}

void BoundTime() {
  On(SIGPROF, [](int) { Complain("takes too long"); });
}

// Only where no better handler is installed: a sanitizer has its own.
void CatchCrashes() {
  for (int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    struct sigaction before {};
    if (::sigaction(signal, nullptr, &before) != 0 || before.sa_handler != SIG_DFL) continue;
    On(signal, [](int) { Complain("ends the process"); });
  }
}

void Run(const std::string& bytes) {
  running = &bytes;
  const itimerval limit{{0, 0}, {kSeconds, 0}};
  ::setitimer(ITIMER_PROF, &limit, nullptr);
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  rusage usage{};
  if (kBoundsMemory && ::getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss > kMostResident)
    Complain("has taken more memory than it may");
}

}  // namespace

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  ChangeBytes(bytes);
  bytes.resize(std::min(bytes.size(), max_size));
  std::memcpy(data, bytes.data(), bytes.size());
  return bytes.size();
}

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s CORPUS [COUNT [SEED]]\n", argv[0]);
    return 2;
  }
  const uint64_t count = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 10000;
  state = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;
  std::vector<std::filesystem::path> files;
  for (const auto& file : std::filesystem::directory_iterator(argv[1])) files.push_back(file.path());
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  if (corpus.empty()) {
    std::fprintf(stderr, "the corpus %s has no files\n", argv[1]);
    return 2;
  }
  BoundMemory();
  BoundTime();
  CatchCrashes();
  for (const std::string& bytes : corpus) Run(bytes);
  for (uint64_t i = 0; i < count; ++i) {
    std::string bytes = corpus[Draw(corpus.size())];
    for (uint64_t changes = 1 + Draw(6); changes > 0; --changes) Change(bytes);
    Run(bytes);
  }
  std::printf("%zu files and %llu changed ones: no complaint\n", corpus.size(), static_cast<unsigned long long>(count));
  return 0;
}
