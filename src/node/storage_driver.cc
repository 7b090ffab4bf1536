#include "node/storage_driver.h"

#include <utility>

#include "base/format.h"
#include "storage/storage_thread.h"

namespace ringraft::node {

StorageDriver::StorageDriver(std::shared_ptr<Storage> storage, reactor::Host& host, core::Core& core,
                             NodeControl& control)
    : host_(host), core_(core), control_(control), storage_(std::move(storage)), persisted_(host.loop()) {
  auto on_persisted = [this](uint64_t number, Result<void> result) { OnPersisted(number, std::move(result)); };
  if (auto* hosted = dynamic_cast<storage::HostedStorage*>(storage_.get())) {
    queue_ = hosted->MakeQueue(std::move(on_persisted));
  } else {
    queue_ = std::make_unique<storage::StorageThread>(*storage_, host_.mailbox(), std::move(on_persisted));
  }
}

void StorageDriver::SubmitWrites() {
  while (core_.HasWrite()) {
    core::Write write = core_.NextWrite(host_.loop().Now());
    storage::WriteRequest request;
    request.number = write.number;
    request.hard_state = write.hard_state;
    request.truncate_after = write.truncate_after;
    request.batches = std::move(write.batches);
    request.values = std::exchange(values_, {});
    queue_->Submit(std::move(request));
  }
}

void StorageDriver::OnPersisted(core::WriteNumber number, Result<void> result) {
  if (is_closed_) return;
  if (!result) return control_.Fail(result.error());
  core_.OnPersisted(host_.loop().Now(), number);
  persisted_.Notify();
  control_.Touch();
}

Task<void> StorageDriver::Durable(core::WriteNumber number) {
  while (core_.persisted() < number) {
    auto woken = persisted_.Wait();
    co_await woken;
  }
}

void StorageDriver::StoreWithNextWrite(const char* key, std::string value) {
  values_.emplace_back(key, std::move(value));
}

Task<void> StorageDriver::StoreDurably(const char* key, std::string value) {
  StoreWithNextWrite(key, std::move(value));
  const core::WriteNumber number = core_.NextWriteNumber();
  control_.Touch();
  auto durable = Durable(number);
  co_await durable;
}

void StorageDriver::StoreUnreported(const char* key, std::string value) {
  if (is_closed_) return;
  storage::WriteRequest request;
  request.values.emplace_back(key, std::move(value));
  queue_->Submit(std::move(request));
}

Task<Result<std::vector<BatchRef>>> StorageDriver::ReadLog(Index from, size_t max_bytes) {
  // On the heap, and with its own hold on the storage: the work continues if this coroutine is dropped.
  auto answer = std::make_shared<Result<std::vector<BatchRef>>>(std::vector<BatchRef>());
  auto storage = storage_;
  auto reading = host_.RunBlocking([answer, storage, from, max_bytes] { *answer = storage->Read(from, max_bytes); });
  co_await reading;
  if (*answer && answer->value().empty())
    co_return Error(
        Errc::kCorrupt,
        fmt::format("the log has no entry at index {}, which it should have; restore this node from its peers", from));
  co_return std::move(*answer);
}

Task<void> StorageDriver::FinishWrites() {
  auto finishing = host_.RunBlockingAlone([this] { queue_.reset(); });
  co_await finishing;
}

Task<void> StorageDriver::ReleaseStorage() {
  auto releasing = host_.RunBlockingAlone([this] { storage_.reset(); });
  co_await releasing;
}

}  // namespace ringraft::node
