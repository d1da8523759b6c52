#include "stream/teller.hpp"

#include <exception>

namespace vljepa {

void Teller::deliver(const Told& told) {
    tell(told.error);
    for (const Event& event : told.events) {
        try {
            listeners_.on_event(event);
        } catch (...) {
            tally_.add(&StreamStats::callback_errors);
            tell(keep("a listener failed"));
        }
    }
}

void Teller::tell(const std::string& error) noexcept {
    try {
        if (!error.empty() && listeners_.on_error) listeners_.on_error(error);
    } catch (...) {  // whoever is told of errors has one
    }
}

std::string Teller::keep(const char* what) noexcept {
    try {
        std::string text = std::string(what) + ": ";
        try {
            throw;
        } catch (const std::exception& error) {
            text += error.what();
        } catch (...) {
            text += "an unknown error";
        }
        const std::lock_guard<std::mutex> lock(mutex_);
        last_error_ = text;
        return text;
    } catch (...) {  // there is no memory for the text
        return {};
    }
}

std::string Teller::last_error() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return last_error_;
}

void Teller::forget() {
    const std::lock_guard<std::mutex> lock(mutex_);
    last_error_.clear();
}

}  // namespace vljepa
