// A fuzz target: gets any bytes, and must not crash, hang or take memory without bound. Linked with libFuzzer, or with
// driver.cc, which works with every compiler.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

// A number from 0 to n - 1, by splitmix64: the same with every compiler.
inline uint64_t DrawFrom(uint64_t& state, uint64_t n) {
  state += 0x9e3779b97f4a7c15u;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (z ^ (z >> 31)) % n;
}

// A target may have its own mutator, which changes an input in place and returns the new size. LLVMFuzzerMutate, which
// changes bytes, is that of libFuzzer or of the driver.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed);
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);
