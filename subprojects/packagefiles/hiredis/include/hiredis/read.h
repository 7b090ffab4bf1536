// Stands where an installed header would.
#include "../../read.h"
