#include "api/guard.hpp"
#include "vljepa/bundle.hpp"

namespace vljepa {

namespace {

std::string& last_error() {
    thread_local std::string text;
    return text;
}

}  // namespace

void set_last_error(const std::string& what) { last_error() = what; }

}  // namespace vljepa

const char* vljepa_version(void) { return VLJEPA_VERSION; }

const char* vljepa_last_error(void) { return vljepa::last_error().c_str(); }

vljepa_status vljepa_bundle_verify(const char* path) {
    return vljepa::guarded([&] { vljepa::Bundle::open(&vljepa::required(path, "path")); });
}
