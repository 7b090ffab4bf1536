// Stands where an installed header would.
#include "../../hiredis.h"
