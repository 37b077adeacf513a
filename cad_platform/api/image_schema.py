"""What an image's metadata look like, for the OpenAPI description."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from cad_platform.studies.models import Instance


class SlideLevelSchema(serializers.Serializer[Any]):
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    downsample = serializers.FloatField()


class SlideSchema(serializers.Serializer[Any]):
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    mpp_x = serializers.FloatField(allow_null=True)
    mpp_y = serializers.FloatField(allow_null=True)
    objective_power = serializers.FloatField(allow_null=True)
    tile_size = serializers.IntegerField()
    overlap = serializers.IntegerField()
    levels = SlideLevelSchema(many=True)


class WindowSchema(serializers.Serializer[Any]):
    center = serializers.FloatField()
    width = serializers.FloatField()


class ImageMetadataSchema(serializers.Serializer[Any]):
    """`window`, `min` and `max` are of the first frame, after slope and intercept; null for slides."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=Instance.Kind.choices)
    sop_instance_uid = serializers.CharField()
    file_name = serializers.CharField()
    rows = serializers.IntegerField()
    columns = serializers.IntegerField()
    frames = serializers.IntegerField()
    samples = serializers.IntegerField()
    bits_allocated = serializers.IntegerField()
    bits_stored = serializers.IntegerField()
    signed = serializers.BooleanField()
    photometric = serializers.CharField()
    slope = serializers.FloatField()
    intercept = serializers.FloatField()
    window = WindowSchema(allow_null=True)
    min = serializers.FloatField(allow_null=True)
    max = serializers.FloatField(allow_null=True)
    lossy = serializers.BooleanField()
    pixel_spacing_um = serializers.FloatField(allow_null=True)
    pixel_spacing_source = serializers.CharField()
    laterality = serializers.CharField()
    view = serializers.CharField()
    body_part = serializers.CharField()
    slide = SlideSchema(allow_null=True)
    urls = serializers.DictField(child=serializers.CharField(allow_null=True))
