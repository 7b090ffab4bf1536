// Looks at a database file before LMDB maps it: LMDB silently makes a new database of an empty file, and touching a
// page behind the end of a truncated one is a SIGBUS.
#pragma once

#include <string>

#include "ringraft/errc.h"

namespace ringraft::storage {

// Both meta pages must be whole and every page that they speak of inside the file. Reads two pages; changes nothing.
// Errors: kCorrupt with the file and the remedy, kWrongVersion for another version of LMDB's format, kIo.
Result<void> CheckDatabaseFile(const std::string& path);

}  // namespace ringraft::storage
