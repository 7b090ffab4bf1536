#include "rpc/admin_session.h"

#include "rpc/admin_codec.h"
#include "rpc/reply.h"

namespace ringraft::rpc {
namespace {

template <class Context>
void Fill(Context& context, const Error& outcome) {
  Encode(outcome, context.getResults(SizeHint(outcome)).initOutcome());
}

template <class Context>
Task<void> Serve(Task<Result<void>> order, Reply<Context> reply) {
  Result<void> done = co_await order;
  const Error outcome = done ? Error() : done.error();
  reply.Send([&outcome](Context& context) { Fill(context, outcome); });
}

}  // namespace

kj::Promise<void> AdminSession::status(StatusContext context) {
  if (handle_->has_ended()) return ConnectionEnded();
  const Result<AdminStatus> status = service_.Status();
  if (!status) {
    Fill(context, status.error());
  } else {
    Encode(status.value(), context.getResults(SizeHint(status.value())).initStatus());
  }
  return kj::READY_NOW;
}

kj::Promise<void> AdminSession::changeConfig(ChangeConfigContext context) {
  if (handle_->has_ended()) return ConnectionEnded();
  Result<ConfigChange> change = Decode(context.getParams().getChange());
  const Duration timeout = DecodeTimeout(context.getParams().getTimeoutNs());
  context.releaseParams();
  if (!change) {
    Fill(context, change.error());
    return kj::READY_NOW;
  }
  return Run(kj::mv(context), service_.ChangeConfig(std::move(change).assume_value(), timeout));
}

kj::Promise<void> AdminSession::abortConfigChange(AbortConfigChangeContext context) {
  if (handle_->has_ended()) return ConnectionEnded();
  return Run(kj::mv(context), service_.AbortConfigChange());
}

kj::Promise<void> AdminSession::transferLeadership(TransferLeadershipContext context) {
  if (handle_->has_ended()) return ConnectionEnded();
  const NodeId to(context.getParams().getTo());
  return Run(kj::mv(context), service_.TransferLeadership(to, DecodeTimeout(context.getParams().getTimeoutNs())));
}

template <class Context>
kj::Promise<void> AdminSession::Run(Context context, Task<Result<void>> order) {
  AllowCancellation(context);
  Reply<Context> reply;
  auto promise = kj::newAdaptedPromise<void, PendingReply<Context>>(reply, kj::mv(context));
  handle_->connection->context_.calls.Start(Serve<Context>(std::move(order), std::move(reply)));
  return promise;
}

}  // namespace ringraft::rpc
