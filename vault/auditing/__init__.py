"""The sequenced audit log at work: growing, signing, anchoring, proving, exporting."""
