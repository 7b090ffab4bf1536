#include "reactor/io_buffer.h"

#ifdef RINGRAFT_GUARD_PAGES
#include <sys/mman.h>

#include "base/assert.h"
#endif

namespace ringraft::reactor {

#ifdef RINGRAFT_GUARD_PAGES

namespace {
constexpr size_t kPage = 4096;
size_t Pages(size_t size) { return (size + kPage - 1) / kPage * kPage; }
}  // namespace

IoBuffer::IoBuffer(size_t size) : size_(size) {
  void* pages = ::mmap(nullptr, Pages(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  RINGRAFT_ASSERT(pages != MAP_FAILED);
  data_ = static_cast<char*>(pages);
}

IoBuffer::~IoBuffer() {
  if (data_ != nullptr) ::munmap(data_, Pages(size_));
}

#else

IoBuffer::IoBuffer(size_t size) : data_(new char[size]), size_(size) {}

IoBuffer::~IoBuffer() { delete[] data_; }

#endif

}  // namespace ringraft::reactor
