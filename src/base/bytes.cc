#include "ringraft/bytes.h"

namespace ringraft {

void Bytes::Assign(std::string_view bytes) {
  // A heap buffer stays once there is one, so that a reused object settles at its largest size.
  if (bytes.size() > (heap_ != nullptr ? capacity_ : kInline)) {
    char* bigger = new char[bytes.size()];
    delete[] heap_;
    heap_ = bigger;
    capacity_ = static_cast<uint32_t>(bytes.size());
  }
  if (!bytes.empty()) std::memcpy(heap_ != nullptr ? heap_ : inline_, bytes.data(), bytes.size());
  size_ = static_cast<uint32_t>(bytes.size());
}

}  // namespace ringraft
