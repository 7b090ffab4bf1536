// Checks a database file before LMDB maps it: LMDB silently creates a new database in an empty file, and access to a
// page beyond the end of a truncated one is a SIGBUS.
#pragma once

#include <string>

#include "ringraft/errc.h"

namespace ringraft::storage {

// Both meta pages must be valid, and every page that they refer to inside the file. Reads two pages; changes nothing.
// Errors: kCorrupt with the file and the remedy, kWrongVersion for another version of LMDB's format, kIo.
Result<void> CheckDatabaseFile(const std::string& path);

}  // namespace ringraft::storage
