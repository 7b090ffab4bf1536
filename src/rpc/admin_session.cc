#include "rpc/admin_session.h"

#include "rpc/admin_codec.h"
#include "rpc/answer.h"

namespace ringraft::rpc {
namespace {

kj::Exception Ended() { return KJ_EXCEPTION(DISCONNECTED, "the connection has ended"); }

template <class Context>
void Fill(Context& context, const Error& outcome) {
  Encode(outcome, context.getResults(SizeHint(outcome)).initOutcome());
}

template <class Context>
Task<void> Serve(Task<Result<void>> order, Answer<Context> answer) {
  Result<void> done = co_await order;
  const Error outcome = done ? Error() : done.error();
  answer.Send([&outcome](Context& context) { Fill(context, outcome); });
}

}  // namespace

bool AdminSession::HasEnded() const { return handle_->connection == nullptr || handle_->connection->has_ended(); }

kj::Promise<void> AdminSession::status(StatusContext context) {
  if (HasEnded()) return Ended();
  const Result<AdminStatus> status = service_.Status();
  if (!status) {
    Fill(context, status.error());
  } else {
    Encode(status.value(), context.getResults(SizeHint(status.value())).initStatus());
  }
  return kj::READY_NOW;
}

kj::Promise<void> AdminSession::changeConfig(ChangeConfigContext context) {
  if (HasEnded()) return Ended();
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
  if (HasEnded()) return Ended();
  return Run(kj::mv(context), service_.AbortConfigChange());
}

kj::Promise<void> AdminSession::transferLeadership(TransferLeadershipContext context) {
  if (HasEnded()) return Ended();
  const NodeId to(context.getParams().getTo());
  return Run(kj::mv(context), service_.TransferLeadership(to, DecodeTimeout(context.getParams().getTimeoutNs())));
}

template <class Context>
kj::Promise<void> AdminSession::Run(Context context, Task<Result<void>> order) {
  AllowCancellation(context);
  Answer<Context> answer;
  auto promise = kj::newAdaptedPromise<void, Waiting<Context>>(answer, kj::mv(context));
  handle_->connection->context_.calls.Start(Serve<Context>(std::move(order), std::move(answer)));
  return promise;
}

}  // namespace ringraft::rpc
