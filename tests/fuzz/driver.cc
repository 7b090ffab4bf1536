// Instead of libFuzzer: runs the files of a corpus, then so many changed ones, drawn from a seed. It knows nothing of
// coverage, but runs with every compiler and sanitizer.
//
//   FUZZER CORPUS [COUNT [SEED]]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz.h"

namespace {

uint64_t state;
uint64_t Draw(uint64_t n) {
  state += 0x9e3779b97f4a7c15u;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (z ^ (z >> 31)) % n;
}

void Change(std::string& bytes, const std::vector<std::string>& corpus) {
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
  if (bytes.size() > 65536) bytes.resize(65536);
}

void Run(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

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
  std::vector<std::string> corpus;
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  if (corpus.empty()) {
    std::fprintf(stderr, "%s holds no files to begin with\n", argv[1]);
    return 2;
  }
  for (const std::string& bytes : corpus) Run(bytes);
  for (uint64_t i = 0; i < count; ++i) {
    std::string bytes = corpus[Draw(corpus.size())];
    for (uint64_t changes = 1 + Draw(6); changes > 0; --changes) Change(bytes, corpus);
    Run(bytes);
  }
  std::printf("%zu files and %llu changed ones: no complaint\n", corpus.size(), static_cast<unsigned long long>(count));
  return 0;
}
