// Stands where an installed header would.
#include "../../sds.h"
