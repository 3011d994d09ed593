import Foundation

/// Pauses between two attempts where no event says when to try again. Not for synchronization.
package func pause(milliseconds: Int) {
    var nothing: [pollfd] = []
    _ = poll(&nothing, 0, Int32(clamping: milliseconds))
}
