// Stands where an installed header would.
#include "../../alloc.h"
