// What an operator's tool can call once it has been let in: checks what arrives, and asks the service. Cap'n Proto owns
// it, and may keep it a little longer than its connection lives.
#pragma once

#include <memory>

#include "ringraft/admin.h"
#include "rpc/incoming.h"

namespace ringraft::rpc {

class AdminSession final : public schema::Admin::Server {
 public:
  AdminSession(std::shared_ptr<IncomingConnection::Handle> handle, AdminService& service)
      : handle_(std::move(handle)), service_(service) {}

  kj::Promise<void> status(StatusContext context) override;
  kj::Promise<void> changeConfig(ChangeConfigContext context) override;
  kj::Promise<void> abortConfigChange(AbortConfigChangeContext context) override;
  kj::Promise<void> transferLeadership(TransferLeadershipContext context) override;

 private:
  bool HasEnded() const;
  template <class Context>
  kj::Promise<void> Run(Context context, Task<Result<void>> order);

  std::shared_ptr<IncomingConnection::Handle> handle_;
  AdminService& service_;  // not to be touched once the connection has ended
};

}  // namespace ringraft::rpc
