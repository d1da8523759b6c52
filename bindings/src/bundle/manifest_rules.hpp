#pragma once

#include "vljepa/manifest.hpp"

namespace vljepa {

/// The rules that tie the parts of a manifest together: roles, files, and what graphs take and give. Throws BundleError.
void check_manifest(const Manifest& manifest);

}  // namespace vljepa
