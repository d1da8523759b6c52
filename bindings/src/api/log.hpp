#pragma once

#include <string>

#include "vljepa.h"

namespace vljepa {

/// Tells the callback of vljepa_set_log(), if there is one.
void log(vljepa_log_level level, const std::string& text);

}  // namespace vljepa
