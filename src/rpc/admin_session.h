// The calls that an operator's tool may make after it has been admitted: checks the arguments and calls the service.
// Cap'n Proto owns it, and may keep it a little longer than its connection lives.
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
  template <class Context>
  kj::Promise<void> Run(Context context, Task<Result<void>> order);

  std::shared_ptr<IncomingConnection::Handle> handle_;
  AdminService& service_;  // must not be used once the connection has ended
};

}  // namespace ringraft::rpc
