import CommandLineKit
import StockModel
import StockQueue

/// `NAME=VALUE`
struct SettingAssignment: Sendable {
    let name: String
    let value: String
}

extension ValueType where Value == SettingAssignment {
    static var settingAssignment: Self {
        Self("NAME=VALUE", shape: .text(bytes: nil), expectation: "NAME=VALUE") { word in
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            return parts.count == 2 ? SettingAssignment(name: parts[0], value: parts[1]) : nil
        }
    }
}

extension DescribedSettings {
    /// Changes the settings that the environment or the configuration file has.
    ///
    /// - Parameter options: settings that an option of the same name changes.
    mutating func apply(_ configuration: Configuration, except options: Set<String> = []) throws(Failure) {
        for setting in Self.all where !options.contains(setting.name) {
            guard let entry = configuration.entry(setting.name) else { continue }
            do throws(ValidationError) {
                try setting.set(entry.text, in: &self)
            } catch {
                throw Failure("\(entry.source): \(error.message)")
            }
        }
    }

    /// Prints the settings for `--show-settings`.
    func show() {
        for setting in Self.all { Terminal.print("\(setting.name)=\(setting.text(in: self))") }
    }

    static func has(_ name: String) -> Bool { all.contains { $0.name == name } }
}
