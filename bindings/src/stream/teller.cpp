#include "stream/teller.hpp"

#include <exception>

namespace vljepa {

void Teller::deliver(const Told& told) {
    for (const Event& event : told.events) {
        try {
            listeners_.on_event(event);
        } catch (...) {
            tally_.add(&StreamStats::callback_errors);
            note("a listener failed");
        }
    }
}

void Teller::note(const char* what) noexcept {
    try {
        std::string text = std::string(what) + ": ";
        try {
            throw;
        } catch (const std::exception& error) {
            text += error.what();
        } catch (...) {
            text += "an unknown error";
        }
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            last_error_ = text;
        }
        if (listeners_.on_error) listeners_.on_error(text);
    } catch (...) {  // there is no memory for the text, or whoever is told of errors has one
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
