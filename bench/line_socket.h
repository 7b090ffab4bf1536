// Lines of text over TCP, between `ringraft-bench load` and the nodes: a word, then key=value fields.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ringraft/errc.h"
#include "ringraft/types.h"
#include "signals.h"

namespace ringraft::bench {

// A parsed line. Fields that are missing or malformed read as zero or empty.
struct Message {
  static Message Parse(const std::string& line);

  std::string Text(const std::string& key) const;
  double Number(const std::string& key) const;
  uint64_t Count(const std::string& key) const;

  std::string word;
  std::string rest;  // everything after the word, for messages to people
  std::map<std::string, std::string> fields;
};

// A connected socket, closed by the destructor. One thread.
class LineSocket {
 public:
  explicit LineSocket(int fd) : fd_(fd) {}
  ~LineSocket();
  LineSocket(const LineSocket&) = delete;
  LineSocket& operator=(const LineSocket&) = delete;

  static Result<std::unique_ptr<LineSocket>> Connect(const Addr& addr);

  // Without a line end. False if the other side is gone.
  bool Send(std::string_view line);
  // Up to 4 KiB. Errors: kTimedOut, kUnreachable (closed), kProtocol (too long), kStopped (a signal came).
  Result<Message> Receive(Duration max_wait, Signals& signals);
  // The other side has closed the connection.
  bool IsClosed() const;

 private:
  int fd_;
  std::string received_;
};

// A listening socket; the descriptor is the caller's. Errors name the address.
Result<int> ListenOn(const Addr& addr);

}  // namespace ringraft::bench
