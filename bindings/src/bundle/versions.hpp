#pragma once

namespace vljepa {

class Json;

constexpr const char* kManifestFile = "manifest.json";
/// The release of vljepa-edge whose manifests this library reads, and those of all before it.
constexpr const char* kReads = "0.9.0";
constexpr long kSchema = 1;

/// Throws BundleError for a manifest that only a later version reads.
void check_version(const Json& manifest);

}  // namespace vljepa
