// What a shared object that links ringraft exports: what these headers declare. The rest of the library is hidden.
#pragma once

#define RINGRAFT_PUBLIC __attribute__((visibility("default")))
