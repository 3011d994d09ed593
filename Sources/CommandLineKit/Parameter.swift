/// The description of an argument, an option or a flag: data for parsing, help and the tests.
package struct ParameterInfo: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        case argument, option, flag
    }

    package let kind: Kind
    /// Without the dashes; of an argument its placeholder.
    package let name: String
    /// The placeholder of the value; nil for a flag.
    package let valueName: String?
    /// Nil for a flag.
    package let shape: ValueShape?
    /// How often it may be given.
    package let count: ClosedRange<Int>
    /// What a command uses when it is not given.
    package let defaultText: String?
    package let help: String
    /// What a caller with more words than `count` allows can do; nil where there is nothing.
    var ifTooMany: String?
    /// The environment and the configuration file can give it too.
    package var isConfigurable = false

    /// As messages name it: `--priority` or `STORE`.
    package var label: String { kind == .argument ? name : "--\(name)" }

    /// As a synopsis and a list of options show it: `--priority N` or `[JOB…]`.
    package var synopsis: String {
        switch kind {
        case .flag: return label
        case .option: return "\(label) \(valueName ?? "")"
        case .argument:
            let text = count.upperBound > 1 ? "\(name)…" : name
            return count.lowerBound == 0 ? "[\(text)]" : text
        }
    }
}

/// An argument, an option or a flag of a command, whatever its value's type.
package protocol Parameter: Sendable {
    var info: ParameterInfo { get }

    /// Converts the words that were given, none if the parameter was not given, to a `ConvertedValue` of its type.
    func convert(_ words: [String]) throws(ConversionError) -> any Sendable
}

/// A parameter by which a `ParsedCommand` is read.
package protocol TypedParameter<Value>: Parameter {
    associatedtype Value: Sendable
}

/// What is wrong with the words of a parameter: `--priority takes a whole number from 1 to 4, not 'x'`.
package struct ConversionError: Error {
    package let message: String
}

/// Keeps an optional value apart from an absent one.
struct ConvertedValue<Value: Sendable>: Sendable {
    let value: Value
}

/// The words of a parameter converted: one value, an optional one, one with a default, or a list.
private struct Conversion<Value: Sendable>: Sendable {
    let info: ParameterInfo
    let read: @Sendable ([String]) throws(ConversionError) -> Value

    static func element<Element>(
        _ type: ValueType<Element>, _ label: String, _ word: String
    ) throws(ConversionError) -> Element {
        guard let value = type.parse(word) else {
            throw ConversionError(message: "\(label) takes \(type.expectation), not '\(word.shown)'")
        }
        return value
    }
}

/// A positional argument; reading it gives a `Value`.
package struct Argument<Value: Sendable>: TypedParameter {
    private let conversion: Conversion<Value>

    package var info: ParameterInfo { conversion.info }

    package func convert(_ words: [String]) throws(ConversionError) -> any Sendable {
        ConvertedValue(value: try conversion.read(words))
    }

    /// An argument that must be given once.
    package init(_ type: ValueType<Value>, help: String) {
        let info = ParameterInfo(
            kind: .argument, name: type.valueName, valueName: type.valueName, shape: type.shape, count: 1...1,
            defaultText: nil, help: help)
        conversion = Conversion(info: info) { words throws(ConversionError) in
            try Conversion<Value>.element(type, info.label, words[0])
        }
    }

    /// The last argument of a command, given as often as `count` allows.
    ///
    /// - Parameter ifTooMany: what a caller with more of them can do, for the message.
    package init<Element>(
        repeated type: ValueType<Element>, count: ClosedRange<Int>, help: String, ifTooMany: String? = nil
    ) where Value == [Element] {
        let info = ParameterInfo(
            kind: .argument, name: type.valueName, valueName: type.valueName, shape: type.shape, count: count,
            defaultText: nil, help: help, ifTooMany: ifTooMany)
        conversion = Conversion(info: info) { words throws(ConversionError) in
            var values: [Element] = []
            for word in words { values.append(try Conversion<Value>.element(type, info.label, word)) }
            return values
        }
    }
}

/// An option with a value, `--name VALUE` or `--name=VALUE`; reading it gives a `Value`.
package struct Option<Value: Sendable>: TypedParameter {
    private let conversion: Conversion<Value>
    private var isConfigurable = false

    package var info: ParameterInfo {
        var info = conversion.info
        info.isConfigurable = isConfigurable
        return info
    }

    /// The same option, which the environment and the configuration file can give too.
    package var configurable: Self {
        var option = self
        option.isConfigurable = true
        return option
    }

    package func convert(_ words: [String]) throws(ConversionError) -> any Sendable {
        ConvertedValue(value: try conversion.read(words))
    }

    private static func info<Element>(
        _ name: String, _ type: ValueType<Element>, _ count: ClosedRange<Int>, _ defaultText: String?, _ help: String
    ) -> ParameterInfo {
        ParameterInfo(
            kind: .option, name: name, valueName: type.valueName, shape: type.shape, count: count,
            defaultText: defaultText, help: help)
    }

    /// An option that may be absent.
    ///
    /// - Parameter defaultText: what the command uses then, where it is not the command line that knows it.
    package init<Element>(_ name: String, _ type: ValueType<Element>, defaultText: String? = nil, help: String)
    where Value == Element? {
        let info = Self.info(name, type, 0...1, defaultText, help)
        conversion = Conversion(info: info) { words throws(ConversionError) in
            guard let word = words.first else { return nil }
            return try Conversion<Value>.element(type, info.label, word)
        }
    }

    /// An option with a default.
    package init(
        _ name: String, _ type: ValueType<Value>, default defaultValue: Value, defaultText: String, help: String
    ) {
        let info = Self.info(name, type, 0...1, defaultText, help)
        conversion = Conversion(info: info) { words throws(ConversionError) in
            guard let word = words.first else { return defaultValue }
            return try Conversion<Value>.element(type, info.label, word)
        }
    }

    /// An option that must be given.
    package init(required name: String, _ type: ValueType<Value>, help: String) {
        let info = Self.info(name, type, 1...1, nil, help)
        conversion = Conversion(info: info) { words throws(ConversionError) in
            guard let word = words.first else { throw ConversionError(message: "give \(info.synopsis)") }
            return try Conversion<Value>.element(type, info.label, word)
        }
    }

    /// An option that may be given several times.
    package init<Element>(
        repeated name: String, _ type: ValueType<Element>, defaultText: String? = nil, help: String
    ) where Value == [Element] {
        let info = Self.info(name, type, 0...Int.max, defaultText, help)
        conversion = Conversion(info: info) { words throws(ConversionError) in
            var values: [Element] = []
            for word in words { values.append(try Conversion<Value>.element(type, info.label, word)) }
            return values
        }
    }
}

extension Option {
    /// An option whose default is its own text.
    package init(_ name: String, _ type: ValueType<Value>, default defaultValue: Value, help: String)
    where Value: CustomStringConvertible {
        self.init(name, type, default: defaultValue, defaultText: defaultValue.description, help: help)
    }

    /// An enum's option; the default is shown by its raw value.
    package init(_ name: String, _ type: ValueType<Value>, default defaultValue: Value, help: String)
    where Value: RawRepresentable, Value.RawValue == String {
        self.init(name, type, default: defaultValue, defaultText: defaultValue.rawValue, help: help)
    }
}

/// An option without a value; reading it says whether it was given.
package struct Flag: TypedParameter {
    package typealias Value = Bool

    package private(set) var info: ParameterInfo

    /// The same flag, which the environment and the configuration file can give too.
    package var configurable: Self {
        var flag = self
        flag.info.isConfigurable = true
        return flag
    }

    package init(_ name: String, help: String) {
        info = ParameterInfo(
            kind: .flag, name: name, valueName: nil, shape: nil, count: 0...1, defaultText: nil, help: help)
    }

    package func convert(_ words: [String]) throws(ConversionError) -> any Sendable {
        ConvertedValue(value: !words.isEmpty)
    }
}
