#include <mutex>

#include "api/guard.hpp"
#include "api/log.hpp"
#include "vljepa/bundle.hpp"

namespace vljepa {

namespace {

std::string& last_error() {
    thread_local std::string text;
    return text;
}

struct Log {
    std::mutex mutex;
    vljepa_log_callback callback = nullptr;
    void* user = nullptr;
};

Log& the_log() {
    static Log* const kLog = new Log;  // never destroyed: threads may still tell it something while the program ends
    return *kLog;
}

}  // namespace

void set_last_error(const std::string& what) {
    last_error() = what;
    log(VLJEPA_LOG_ERROR, what);
}

void log(vljepa_log_level level, const std::string& text) {
    Log& log = the_log();
    const std::lock_guard<std::mutex> lock(log.mutex);
    if (log.callback != nullptr) log.callback(level, text.c_str(), log.user);
}

}  // namespace vljepa

const char* vljepa_version(void) { return VLJEPA_VERSION; }

const char* vljepa_last_error(void) { return vljepa::last_error().c_str(); }

void vljepa_set_log(vljepa_log_callback callback, void* user) {
    vljepa::Log& log = vljepa::the_log();
    const std::lock_guard<std::mutex> lock(log.mutex);
    log.callback = callback;
    log.user = user;
}

vljepa_status vljepa_bundle_verify(const char* path) {
    return vljepa::guarded([&] { vljepa::Bundle::open(&vljepa::required(path, "path")); });
}
